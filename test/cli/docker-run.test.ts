import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { openEngine } from '../../runtime/targets/docker/engine.ts';
import { labels } from '../../runtime/targets/docker/labels.ts';
import { dockerTarget } from '../../runtime/targets/docker.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, processesOf } from '../faults/lib/sandbox.ts';

const full = process.env.DMAS_OPT_FULL === '1';
const [missing] = full ? await (await dockerTarget.load()).create({}).check() : [];
const reason = full ? (missing?.message ?? '') : 'set DMAS_OPT_FULL=1';
const scenario = join(import.meta.dirname, '..', '..', 'scenarios', 'travel-planner', 'scenario.yaml');

/** Containers, networks and volumes with a label of ours, whoever made them. */
async function remains(): Promise<string[]> {
  const docker = await openEngine();
  const filters = JSON.stringify({ label: [labels.owner] });
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  const { Volumes } = await docker.listVolumes({ filters });
  return [
    ...containers.map(({ Names }) => Names[0] ?? ''),
    ...networks.map(({ Name }) => Name),
    ...(Volumes ?? []).map(({ Name }) => Name),
  ];
}

describe.skipIf(reason !== '')(`the whole loop in containers${reason ? `: skipped, ${reason}` : ''}`, () => {
  const sandbox = createSandbox();
  afterAll(() => sandbox.remove());

  it('ends with a verdict and a report from traces of containers, and leaves nothing', async () => {
    const before = await remains();
    const ended = await cli(sandbox, ['run', scenario, '--target', 'docker', '--max-time', '90s']);
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
    for (const one of usage) expect(one).toMatchObject({ throttledSeconds: expect.any(Number), receivedBytes: expect.any(Number) });
    expect(usage.some(({ receivedBytes = 0 }) => receivedBytes > 0)).toBe(true);
    expect((await remains()).filter((name) => !before.includes(name))).toEqual([]);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 240_000);
});
