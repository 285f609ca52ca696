import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { dockerTarget } from '../../runtime/targets/docker.ts';

/**
 * Second implementations of three interfaces through the whole loop (compile, deploy, load, traces, profile, search,
 * race, confirm, report), so that no interface is shaped by its first implementation alone.
 */
const root = join(import.meta.dirname, '../..');
const engine = await (await dockerTarget.load()).create({}).check();
const noEngine = engine.some((problem) => problem.severity === 'error');
if (noEngine) process.stderr.write(`the Docker probe is skipped: ${engine[0]?.message}\n`);

describe('the whole loop', () => {
  let runs: string;
  beforeAll(async () => {
    runs = await mkdtemp(join(tmpdir(), 'dmas-opt-probes-'));
  });
  afterAll(() => rm(runs, { recursive: true, force: true }));

  async function loop(name: string): Promise<{ code: number | null; output: string; report: Report }> {
    const folder = join(runs, name);
    const args = ['--import', 'tsx', 'cli/main.ts', 'run', `test/fixtures/thread/${name}.yaml`, '--runs', folder, '--progress', 'plain'];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    const [id] = await readdir(folder).catch(() => []);
    if (id === undefined) throw new Error(`no run folder; the command said:\n${output}`);
    return { code, output, report: JSON.parse(await readFile(join(folder, id, 'report.json'), 'utf8')) as Report };
  }

  /** Whatever the host allowed to be judged, everything must have run and answered right. */
  function expectWholeLoop({ code, output, report }: Awaited<ReturnType<typeof loop>>): void {
    expect([0, 12, 30], output).toContain(code);
    const blocks = report.trials.flatMap((trial) => trial.blocks);
    expect(report.trials.filter((trial) => trial.state === 'failed')).toEqual([]);
    expect(blocks.some((block) => block.purpose === 'race')).toBe(true);
    for (const block of blocks) {
      for (const result of Object.values(block.classes)) expect(result.errors).toEqual({});
    }
    expect(report.traces?.unbrokenShare).toBe(1);
    expect(report.traces?.darkComponents).toEqual([]);
  }

  it('runs with a gRPC channel', async () => {
    const found = await loop('grpc');
    expectWholeLoop(found);
    expect(found.report.whereItGoes?.edges.map((edge) => edge.protocol)).toEqual(['grpc']);
  }, 180_000);

  it.skipIf(process.env.DMAS_OPT_FULL !== '1')(
    'runs with an A2A channel',
    async () => {
      const found = await loop('a2a');
      expectWholeLoop(found);
      expect(found.report.whereItGoes?.edges.map((edge) => edge.protocol)).toEqual(['a2a']);
    },
    180_000,
  );

  it('runs a LangGraph.js graph whose nodes are placed apart', async () => {
    const found = await loop('langgraph');
    expectWholeLoop(found);
    const baseline = found.report.trials.find((trial) => trial.roles.includes('baseline'));
    expect(baseline?.configuration.units.map((unit) => unit.components)).toEqual([['essay'], ['peer-review'], ['write']]);
    expect(found.report.whereItGoes?.edges.map((edge) => `${edge.from}->${edge.to}`).sort()).toEqual([
      'essay->peer-review',
      'essay->write',
    ]);
  }, 180_000);

  it.skipIf(process.env.DMAS_OPT_FULL !== '1')(
    'runs an application that asks people, and leaves their time out of every latency',
    async () => {
      const found = await loop('approval');
      expectWholeLoop(found);
      expect(found.report.human).toMatchObject([{ requestClass: 'default', maxMs: 3_630_000 }]);
      for (const { p95Ms } of found.report.trials) expect(p95Ms?.point ?? 0).toBeLessThan(5_000);
      expect(found.output).toContain('People were asked');
    },
    180_000,
  );

  it.skipIf(process.env.DMAS_OPT_FULL !== '1')(
    'runs agents of the OpenAI Agents SDK that are placed apart',
    async () => {
      const found = await loop('openai-agents');
      expectWholeLoop(found);
      const baseline = found.report.trials.find((trial) => trial.roles.includes('baseline'));
      expect(baseline?.configuration.units.length).toBe(4);
      expect(found.report.whereItGoes?.edges.map((edge) => `${edge.from}->${edge.to}`).sort()).toEqual([
        'refund-agent->policy-agent',
        'triage-agent->order-agent',
        'triage-agent->refund-agent',
      ]);
    },
    180_000,
  );

  // All of it goes a larger application through its whole loop there, in test/cli/docker-run.test.ts.
  it.skipIf(noEngine || process.env.DMAS_OPT_FULL === '1')(
    'runs in containers of a Docker engine',
    async () => {
      const found = await loop('docker');
      expectWholeLoop(found);
      expect(found.report.scenario.target).toBe('docker');
    },
    300_000,
  );
});
