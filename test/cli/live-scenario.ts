import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Behaviour {
  /** Of the inner agent, per call. */
  readonly sleepMs?: number;
  /** Its unit does not start. */
  readonly dies?: boolean;
  /** Its unit ends by itself a moment after it has started. */
  readonly diesAfterMs?: number;
  /** Changes its code and nothing else. */
  readonly version?: number;
}

/** An application of two agents whose source can be changed while it runs. */
export function writeApplication(folder: string, behaviour: Behaviour = {}): string {
  const { sleepMs = 0, dies = false, diesAfterMs = 0, version = 1 } = behaviour;
  mkdirSync(folder, { recursive: true });
  const deployed = "JSON.parse(readFileSync(process.env.DMAS_BINDING ?? '/dev/null', 'utf8') || '{}').id === 'shout'";
  writeFileSync(
    join(folder, 'workflow.ts'),
    `import { readFileSync } from 'node:fs';
import { agent, codeAgent, workflow, z } from 'dmas-opt';
${dies ? `if (${deployed}) throw new Error('the licence server is unknown');` : ''}
${diesAfterMs > 0 ? `if (${deployed}) setTimeout(() => { process.stderr.write('out of licences\\n'); process.exit(3); }, ${diesAfterMs});` : ''}
const text = z.object({ text: z.string() });
export const shout = agent('shout', { input: text, output: text, effect: 'readOnly' });
export const greet = agent('greet', { input: z.object({ name: z.string() }), output: text, effect: 'readOnly' });
export const shoutAgent = codeAgent(shout, async (input) => {
  if (${sleepMs} > 0) await new Promise((resolve) => setTimeout(resolve, ${sleepMs}));
  return { text: input.text.toUpperCase() + (${version} > 9 ? '!' : '') };
});
export const greetAgent = codeAgent(greet, async ({ name }, ctx) => ctx.call(shout, { text: 'hello ' + name }), { calls: [shout] });
export default workflow({ name: 'live', entry: greet, parts: [greetAgent, shoutAgent] });
`,
  );
  const scenario = join(folder, 'scenario.yaml');
  writeFileSync(
    scenario,
    `name: live
workflow: ./workflow.ts
workload:
  inputs: [{ name: Ann }, { name: Bob }]
  classes:
    default: { arrivals: { process: constant, perSecond: 60 }, timeout: 5s }
  warmup: 100ms
  duration: 500ms
objective:
  slo:
    - { metric: latency.p50, max: 400ms }
search:
  candidates: 1
budget: { time: 60s, trials: 4 }
`,
  );
  return scenario;
}

export interface Load {
  /** Waits for what is under way. */
  stop(): Promise<{ readonly sent: number; readonly failures: readonly string[] }>;
  readonly sent: () => number;
}

/** Asks at a steady pace, whatever comes back. Every request has a connection of its own: none is saved by an old one. */
export function startLoad(url: string, everyMs = 20): Load {
  const failures: string[] = [];
  const open = new Set<Promise<void>>();
  let sent = 0;
  const ask = () => {
    sent++;
    const asking = new Promise<void>((resolve) => {
      const outgoing = request(url, { method: 'POST', agent: false, timeout: 20_000 }, (incoming) => {
        if (incoming.statusCode !== 200) failures.push(`status ${incoming.statusCode}`);
        incoming.on('error', (error) => failures.push(error.message));
        incoming.resume().on('close', resolve);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
      outgoing.on('error', (error) => {
        failures.push(error.message);
        resolve();
      });
      outgoing.end('{"name":"Ann"}');
    }).finally(() => open.delete(asking));
    open.add(asking);
  };
  const timer = setInterval(ask, everyMs);
  return {
    sent: () => sent,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      await sleep(10);
      return { sent, failures };
    },
  };
}
