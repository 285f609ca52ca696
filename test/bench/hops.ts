/**
 * What a hop costs over the bare library doing the same work: `npx tsx test/bench/hops.ts [--pairs 12] [--block-ms 250]
 * [--warmup-ms 1000] [--only http-json]`. Both arms echo JSON between two processes, bundled as units are. Arms
 * alternate in short blocks; each pair of blocks gives one ratio of median latencies. The last line is JSON.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle } from './lib/bundle.ts';
import type { HopRow, HopTask } from './lib/hop-client.ts';

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '12' },
    'block-ms': { type: 'string', default: '250' },
    'warmup-ms': { type: 'string', default: '1000' },
    only: { type: 'string', default: '' },
  },
});

function line(row: HopRow): string {
  const cells = [
    row.protocol.padEnd(9),
    row.options.transport.padEnd(9),
    `${row.size / 1024} KB`.padStart(5),
    String(row.inflight).padStart(9),
    row.ours_p50_ms.toFixed(3).padStart(11),
    row.bare_p50_ms.toFixed(3).padStart(11),
    row.ratio_p50.toFixed(2).padStart(5),
    `${row.ratio_low.toFixed(2)} to ${row.ratio_high.toFixed(2)}`.padStart(13),
  ];
  return cells.join('  ');
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-hops-'));
  const [serverFile, clientFile] = await Promise.all([
    bundle(new URL('./lib/hop-server.ts', import.meta.url), join(folder, 'server.mjs')),
    bundle(new URL('./lib/hop-client.ts', import.meta.url), join(folder, 'client.mjs')),
  ]);
  const server = fork(serverFile, [folder], { execArgv: [] });
  const client = fork(clientFile, [], { execArgv: [] });
  try {
    const [at] = (await once(server, 'message')) as [HopTask['at']];
    const task: HopTask = {
      at,
      pairs: Number(values.pairs),
      blockMs: Number(values['block-ms']),
      warmupMs: Number(values['warmup-ms']),
      only: values.only,
    };
    const rows: HopRow[] = [];
    console.log('protocol   transport   size  in flight  ours p50 ms  bare p50 ms  ratio  95 % interval');
    client.on('message', (row) => {
      rows.push(row as HopRow);
      console.log(line(row as HopRow));
    });
    client.send(task);
    const [code] = await once(client, 'exit');
    if (code !== 0) throw new Error(`the caller ended with code ${code}`);
    console.log(JSON.stringify({ hops: rows }));
  } finally {
    client.kill();
    server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
