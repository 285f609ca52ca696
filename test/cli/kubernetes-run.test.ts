import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cli, start } from '../faults/lib/command.ts';
import { createSandbox, processesOf, type Sandbox, until } from '../faults/lib/sandbox.ts';
import { ours } from '../stand-ins/kubernetes/around.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../stand-ins/kubernetes/server.ts';
import { expectWholeLoop } from './whole-loop.ts';

const full = process.env.DMAS_OPT_FULL === '1';
const scenario = join(import.meta.dirname, '..', '..', 'scenarios', 'travel-planner', 'scenario.yaml');

describe.runIf(full)('the whole loop in pods', () => {
  let server: KubernetesStandIn;
  let folder: string;
  let sandbox: Sandbox;
  let environment: { readonly [name: string]: string };
  beforeAll(async () => {
    server = await startKubernetesStandIn({ run: 'process', images: { '*': '' } });
  });
  afterAll(() => server.close());
  beforeEach(() => {
    sandbox = createSandbox();
    folder = join(sandbox.folder, 'cluster');
    mkdirSync(folder);
    writeFileSync(join(folder, 'config'), server.kubeconfig());
    environment = { KUBECONFIG: join(folder, 'config') };
  });
  afterEach(() => sandbox.remove());

  it('ends with a verdict and a report from traces and loads of pods, and leaves nothing', async () => {
    const ended = await cli(sandbox, ['run', scenario, '--target', 'kubernetes', '--max-time', '100s'], { environment });
    const usage = expectWholeLoop(ended, sandbox.run() ?? '');
    expect(usage.some(({ cpuSeconds }) => cpuSeconds > 0)).toBe(true);
    expect(usage.every(({ restarts }) => restarts === 0)).toBe(true);
    expect(ours(server)).toEqual([]);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 300_000);

  it('that is killed leaves nothing after doctor --clean', async () => {
    const command = start(sandbox, ['run', scenario, '--target', 'kubernetes', '--progress', 'plain'], { environment });
    expect(await until(() => ours(server).length > 0, 60_000)).toBe(true);
    // Some of it stands by now, and some of it is being made.
    await Promise.race([sleep(6_000), command.finished]);
    command.child.kill('SIGKILL');
    await command.finished;
    expect(ours(server).length).toBeGreaterThan(0);
    expect(await cli(sandbox, ['doctor', '--clean'], { environment })).toMatchObject({ code: 0 });
    expect(await until(() => ours(server).length === 0)).toBe(true);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 180_000);
});
