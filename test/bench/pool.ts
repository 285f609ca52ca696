import { createRandom } from '../../compiler/contracts/index.ts';
import { engineOf } from '../../runtime/llm/engine/options.ts';
import { type PoolRequest, simulatePool } from '../../runtime/llm/engine/pool.ts';
import { routers } from '../../runtime/llm/engine/step-time.ts';

/**
 * How many requests a pool simulates per second of processor time, per router: turns of conversations that grow, four engine replicas.
 * `npx tsx test/bench/pool.ts [requests]`; the last line is one JSON object.
 */
const requests = Number(process.argv[2] ?? 5000);
const conversations = 200;
const random = createRandom(1);
const turns = new Array<number>(conversations).fill(0);
let atMs = 0;
const list = Array.from({ length: requests }, (): PoolRequest => {
  atMs += random.exponential(25);
  const name = random.integer(conversations);
  const turn = ++(turns[name] as number);
  turns[name] = turn;
  const blocks = 60 + 12 * turn;
  return {
    atMs,
    tokensIn: blocks * 16 + 5,
    tokensOut: 40 + random.integer(200),
    prefix: Array.from({ length: blocks }, (_, block) => `${name}/${block}`),
  };
});
const result: Record<string, number> = {};
for (const router of routers) {
  const setup = engineOf({ engineReplicas: 4, router });
  simulatePool(setup, list.slice(0, 500));
  const before = process.cpuUsage();
  const timings = simulatePool(setup, list);
  const { user, system } = process.cpuUsage(before);
  result[`${router}_requests_per_cpu_s`] = Math.round((requests / (user + system)) * 1e6);
  const cached = timings.reduce((sum, { tokensCached }) => sum + tokensCached, 0);
  result[`${router}_cached_share`] = Number((cached / list.reduce((sum, { tokensIn }) => sum + tokensIn, 0)).toFixed(3));
}
process.stdout.write(`${JSON.stringify({ requests, replicas: 4, ...result })}\n`);
