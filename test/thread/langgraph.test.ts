import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';

const root = join(import.meta.dirname, '../..');

describe.skipIf(process.env.DMAS_OPT_FULL !== '1')('the whole loop on a LangGraph.js application (DMAS_OPT_FULL=1: takes minutes)', () => {
  it('runs, answers right in every layout, and sees models and the ways through the graph', async () => {
    const runs = await mkdtemp(join(tmpdir(), 'dmas-opt-langgraph-'));
    try {
      const args = [
        '--import',
        'tsx',
        'cli/main.ts',
        'run',
        'test/fixtures/thread/langgraph-tools.yaml',
        '--runs',
        runs,
        '--progress',
        'plain',
      ];
      const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
      const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
      // Whatever the host allowed to be judged, everything must have run and answered right.
      expect([0, 12, 30], output).toContain(code);
      const [id = ''] = await readdir(runs);
      const report = JSON.parse(await readFile(join(runs, id, 'report.json'), 'utf8')) as Report;
      expect(report.trials.filter((trial) => trial.state === 'failed')).toEqual([]);
      for (const block of report.trials.flatMap((trial) => trial.blocks)) {
        for (const result of Object.values(block.classes)) expect(result.errors).toEqual({});
      }
      expect(report.traces?.unbrokenShare).toBe(1);
      expect(report.traces?.darkComponents).toEqual([]);
      const { models = [], graphSteps = [] } = report.whereItGoes ?? {};
      expect(models.map(({ model, callsPerRequest }) => [model, Math.round(callsPerRequest)])).toEqual([['main', 2]]);
      expect(models[0]?.tokensInPerRequest).toBeGreaterThan(100);
      expect(graphSteps.map(({ from, to }) => `${from}->${to}`).sort()).toEqual(['agent->tools', 'tools->agent']);
    } finally {
      await rm(runs, { recursive: true, force: true });
    }
  }, 360_000);
});
