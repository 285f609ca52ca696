import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { cli, start } from '../faults/lib/command.ts';
import { createSandbox, processesOf, type Sandbox, until } from '../faults/lib/sandbox.ts';
import { ours } from '../stand-ins/kubernetes/around.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../stand-ins/kubernetes/server.ts';

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
    // 30: the time cap came before the verdict, as on a busy host.
    expect([0, 30], ended.stderr).toContain(ended.code);
    const run = sandbox.run() ?? '';
    expect(existsSync(join(run, 'report.html'))).toBe(true);
    const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as Report;
    expect(report.verdict.sentence).not.toBe('');
    const blocks = report.trials.flatMap((trial) => trial.blocks);
    const traced = readdirSync(join(run, 'traces')).filter((file) => statSync(join(run, 'traces', file)).size > 0);
    expect(traced.length).toBeGreaterThan(0);
    // A host that is too busy for any valid block has a verdict that says so, and no profile.
    if (blocks.some(({ purpose, valid }) => purpose === 'profile' && valid)) {
      expect(report.traces?.unbrokenShare).toBe(1);
      expect(report.traces?.darkComponents).toEqual([]);
    }
    // Late answers are the host's, wrong ones would be ours.
    const errors = blocks.flatMap(({ classes }) => Object.values(classes)).flatMap((result) => Object.keys(result.errors));
    expect(errors.filter((error) => !['timeout', 'deadline'].includes(error))).toEqual([]);
    const usage = blocks.flatMap((block) => block.usage);
    expect(usage.length).toBeGreaterThan(0);
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
