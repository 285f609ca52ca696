import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Report } from '../../reports/report.ts';
import { openEngine } from '../../runtime/targets/docker/engine.ts';
import { labels } from '../../runtime/targets/docker/labels.ts';
import { dockerTarget } from '../../runtime/targets/docker.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, processesOf } from '../faults/lib/sandbox.ts';
import { expectWholeLoop } from './whole-loop.ts';

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
    const usage = expectWholeLoop(ended, sandbox.run() ?? '');
    for (const one of usage) expect(one).toMatchObject({ throttledSeconds: expect.any(Number), receivedBytes: expect.any(Number) });
    expect(usage.some(({ receivedBytes = 0 }) => receivedBytes > 0)).toBe(true);
    expect((await remains()).filter((name) => !before.includes(name))).toEqual([]);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 240_000);

  it('warns in the report of a place that a unit tried and nobody declares', async () => {
    const file = join(sandbox.folder, 'scenario.yaml');
    const outside = join(import.meta.dirname, '../fixtures/workflows/outside/workflow.ts');
    const workload = {
      inputs: [{ urls: ['http://forbidden.invalid/'] }],
      classes: { default: { arrivals: { process: 'constant', perSecond: 2 }, timeout: '10s' } },
      ...{ warmup: '200ms', duration: '1s' },
    };
    const rights = { hosts: { caller: ['allowed.invalid:80'] } };
    writeFileSync(
      file,
      stringify({ name: 'refused', workflow: outside, target: 'docker', workload, rights, budget: { trials: 2, time: '15s' } }),
    );
    const runs = join(sandbox.folder, 'refused');
    const ended = await cli(sandbox, ['trial', file, 'one-per-agent', '--runs', runs]);
    const [id = ''] = existsSync(runs) ? readdirSync(runs) : [];
    expect(id, ended.stderr).not.toBe('');
    const { warnings } = JSON.parse(readFileSync(join(runs, id, 'report.json'), 'utf8')) as Report;
    expect(warnings).toContainEqual({
      code: 'call-refused',
      message: expect.stringMatching(/^\d+ calls? of caller to forbidden\.invalid:80 (was|were) refused \(undeclared\)\.$/),
      advice: expect.stringContaining('rights.hosts'),
    });
  }, 120_000);
});
