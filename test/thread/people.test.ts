import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allInOne, onePerComponent } from '../../compiler/contracts/index.ts';
import { buildTraces } from '../../profiler/analyze/tree.ts';
import { runLoad } from '../../profiler/load/driver.ts';
import { loadJob } from '../../profiler/load/workload.ts';
import { readSamples } from '../../profiler/store/samples.ts';
import { type Bench, openBench } from '../placements/deploy.ts';

/** People answer in the middle of requests, on real deployments under load; the workload of the scenario scripts them. */
describe('an application that asks people', () => {
  let bench: Bench;
  let folder: string;
  beforeAll(async () => {
    bench = await openBench(join(import.meta.dirname, '../fixtures/thread/approval.yaml'));
    folder = await mkdtemp(join(tmpdir(), 'dmas-people-'));
  });
  afterAll(async () => {
    await bench.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('gives the same answers in one unit and in one unit per agent, each request in one unbroken trace', async () => {
    const { project } = bench;
    const { workflow, defaults, workload } = project;
    const answers: unknown[] = [];
    for (const configuration of [allInOne(workflow, defaults), onePerComponent(workflow, defaults)]) {
      await bench.with(configuration, async ({ deployment, block, spans }) => {
        const samplesFile = join(folder, `${answers.length}.ndjson`);
        const request = {
          id: block,
          configurationId: 'c',
          purpose: 'race',
          round: 0,
          seed: 3,
          warmupMs: 0,
          durationMs: 500,
          samplingRatio: 1,
        };
        const job = loadJob({
          workload,
          request: request as never,
          urls: deployment.ingressUrls,
          samplesFile,
          graceMs: 3000,
          expected: undefined,
        });
        const result = await runLoad(job);
        const samples = await readSamples(samplesFile);
        expect(samples.length).toBe(10);
        for (const sample of samples) {
          expect(sample.outcome, JSON.stringify(sample)).toBe('ok');
          expect([sample.pauses, sample.humanMs]).toEqual(sample.input === 0 ? [1, 10_000] : [2, 3_630_000]);
          expect(sample.waitedMs).toBeGreaterThan(15);
        }
        const traced = [...(await spans())];
        const forest = buildTraces(traced);
        expect([forest.requests.length, forest.unbrokenShare]).toEqual([10, 1]);
        // The time of people is in no duration: neither the 20 ms of each wait that pass, nor the hours that do not.
        const stretches = forest.requests.map(({ nodes }) => nodes.filter(({ role }) => role === 'ingress').length);
        expect([...stretches].sort()).toEqual([2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
        for (const { root, nodes } of forest.requests) {
          const waits = nodes.filter(({ role }) => role === 'human');
          expect(waits.every(({ span }) => span.durationMs >= 15)).toBe(true);
          const worked = traced.filter(({ name, traceId }) => name === 'ingress' && traceId === root.span.traceId);
          expect(root.span.durationMs).toBeCloseTo(
            worked.reduce((sum, { durationMs }) => sum + durationMs, 0),
            3,
          );
          expect(root.span.ok).toBe(true);
        }
        answers.push(result.answers);
      });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(JSON.stringify(answers)).not.toContain('null');
  }, 60_000);
});
