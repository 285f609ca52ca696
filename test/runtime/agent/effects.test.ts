import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, codeTool, tool, toolServer, z } from '../../../compiler/api/index.ts';
import {
  type CassetteEntry,
  cassetteText,
  type EffectMode,
  type EffectPolicy,
  type Peers,
  tapeAddress,
} from '../../../compiler/contracts/index.ts';
import { startTapeService } from '../../../runtime/replay/tape-service.ts';
import { atOf, bindingOf, createStage, entriesOf } from '../replay/support.ts';
import { deploy, errorOf } from './harness.ts';

const clerk = agent('clerk', { input: z.object({ to: z.string() }), output: z.json() });
const bureau = agent('bureau', { input: z.object({ to: z.string() }), output: z.object({ stamp: z.string() }), effect: 'sideEffect' });
const pay = tool('pay', {
  description: 'Pays',
  input: z.object({ to: z.string() }),
  output: z.object({ receipt: z.string() }),
  effect: 'sideEffect',
});
const bank = toolServer('bank', [pay]);

const stage = createStage();
afterEach(() => stage.close());

const policy = (modes: { readonly [name: string]: EffectMode }, more: Partial<EffectPolicy> = {}): EffectPolicy => ({
  modes,
  outside: ['bureau'],
  discovered: { readOnly: 'live', idempotent: 'live', sideEffect: 'blocked' },
  ...more,
});

/** The clerk pays and has it stamped; `done` says what really happened. */
async function office(effects: EffectPolicy, tape: readonly CassetteEntry[] = []) {
  const done: string[] = [];
  const stateDir = await stage.folder();
  const peers: { [address: string]: Peers[string] } = {};
  if (tape.length > 0) {
    const service = { id: 'tape', kind: 'tape' as const, replicas: 1, resources: { vcpu: 0, memoryMb: 0 }, options: {} };
    const started = stage.keep(await startTapeService(service, cassetteText(tape), bindingOf('tape', stateDir)));
    peers[tapeAddress] = [{ replica: 0, instanceId: 'tape.0', at: atOf(started, tapeAddress) }];
  }
  const parts = [
    codeAgent(clerk, async ({ to }, ctx) => ({ ...(await ctx.tool(pay, { to })), ...(await ctx.call(bureau, { to })) }), {
      tools: [pay],
      calls: [bureau],
    }),
    codeAgent(bureau, async ({ to }) => {
      done.push(`stamped ${to}`);
      return { stamp: `stamp ${done.length} of ${to}` };
    }),
    codeTool(pay, async ({ to }) => {
      done.push(`paid ${to}`);
      return { receipt: `receipt ${done.length} of ${to}` };
    }),
  ];
  const groups = [['clerk'], ['bank'], ['bureau']];
  const deployed = stage.keep(await deploy({ entry: clerk, groups, parts, toolServers: [bank], effects, peers, stateDir }));
  return { done, deployed, stateDir };
}

async function recorded(): Promise<readonly CassetteEntry[]> {
  const { deployed, stateDir } = await office(policy({}, { record: { content: 'replies', ignore: [] } }));
  await deployed.ask({ to: 'Ann' });
  await deployed.ask({ to: 'Bob' });
  await deployed.close();
  const files = (await readdir(stateDir)).filter((name) => name.endsWith('.cassette.ndjson'));
  return (await Promise.all(files.map((name) => readFile(join(stateDir, name), 'utf8')))).flatMap(entriesOf);
}

describe('calls with effects on the world', () => {
  it('run, and are written down with who called, while a recording is made', async () => {
    const entries = await recorded();
    expect(entries.map(({ kind, target, caller, reply }) => [kind, target, caller, reply.content]).sort()).toEqual([
      ['agent', 'bureau', 'clerk', { value: { stamp: 'stamp 2 of Ann' } }],
      ['agent', 'bureau', 'clerk', { value: { stamp: 'stamp 4 of Bob' } }],
      ['tool', 'pay', 'clerk', { value: { receipt: 'receipt 1 of Ann' } }],
      ['tool', 'pay', 'clerk', { value: { receipt: 'receipt 3 of Bob' } }],
    ]);
    expect(new Set(entries.map(({ conversation }) => conversation)).size).toBe(2);
  });

  it('are answered from the tape, and nothing happens', async () => {
    const entries = await recorded();
    const { deployed, done } = await office(policy({ pay: 'tape', bureau: 'tape' }), entries);
    for (const _ of [1, 2]) {
      expect((await deployed.ask({ to: 'Bob' })).body).toEqual({ receipt: 'receipt 3 of Bob', stamp: 'stamp 4 of Bob' });
      expect((await deployed.ask({ to: 'Ann' })).body).toEqual({ receipt: 'receipt 1 of Ann', stamp: 'stamp 2 of Ann' });
    }
    const unknown = await deployed.ask({ to: 'Eve' });
    expect(errorOf(unknown)).toMatchObject({
      code: 'failed',
      message: expect.stringContaining('holds no reply of pay to this call of clerk'),
    });
    expect(done).toEqual([]);
  });

  it('are stubbed by a value of the right form, the same each time', async () => {
    const outputs = { bureau: { type: 'object', properties: { stamp: { type: 'string' } }, required: ['stamp'] } };
    const { deployed, done } = await office(policy({ pay: 'stub', bureau: 'stub' }, { outputs }));
    const [first, second] = [await deployed.ask({ to: 'Ann' }), await deployed.ask({ to: 'Ann' })];
    expect(first.body).toEqual({ receipt: expect.any(String), stamp: expect.any(String) });
    expect(second.body).toEqual(first.body);
    expect(done).toEqual([]);
  });

  it.each([
    [{ pay: 'blocked' as const, bureau: 'live' as const }, 'pay'],
    [{ pay: 'stub' as const, bureau: 'blocked' as const }, 'bureau'],
  ])('are refused with the way to allow them when blocked: %o', async (modes, component) => {
    const { deployed, done } = await office(policy(modes));
    expect(errorOf(await deployed.ask({ to: 'Ann' }))).toMatchObject({
      code: 'failed',
      component,
      message: expect.stringContaining('workload.allowSideEffects'),
    });
    expect(done).toEqual([]);
  });

  it('of a tool that nobody declared on a server outside are held to what its server says of it', async () => {
    // The bank as somebody else's: the policy names neither it nor its tool.
    const { deployed, done } = await office(policy({ bureau: 'live' }, { outside: ['bureau', 'bank'] }));
    expect(errorOf(await deployed.ask({ to: 'Ann' }))).toMatchObject({ component: 'pay', message: expect.stringContaining('blocked') });
    expect(done).toEqual([]);
    const allowed = await office(policy({ bank: 'live' }, { outside: ['bureau', 'bank'] }));
    expect((await allowed.deployed.ask({ to: 'Ann' })).status).toBe(200);
    expect(allowed.done).toEqual(['paid Ann', 'stamped Ann']);
  });
});
