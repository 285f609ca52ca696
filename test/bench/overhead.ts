/**
 * What tracing costs: `npm run bench:overhead [-- scenarios/travel-planner/scenario.yaml --pairs 6 --seconds 4]`.
 * One deployment of the baseline; blocks with tracing off, at the rate verdicts are measured at, and at the rate of
 * profiling, interleaved in rotating order with the same seed within a round. Ratios are on/off of the median latency
 * and of CPU per request, with 95 % intervals over the pairs. The last line is JSON.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createLaboratory } from '../../cli/laboratory.ts';
import { openProject, openTarget } from '../../cli/project.ts';
import { createRunFolder } from '../../cli/run-folder.ts';
import { type Block, configurationId } from '../../compiler/contracts/index.ts';
import { otlp } from '../../profiler/collect/otlp.ts';
import { metricOf } from '../../profiler/stats/metrics.ts';
import { pairedInterval } from '../../profiler/stats/paired.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: 'string', default: '6' },
    seconds: { type: 'string', default: '4' },
    'warmup-seconds': { type: 'string', default: '1' },
    'rate-scale': { type: 'string', default: '1' },
  },
});
const file = positionals[0] ?? 'scenarios/travel-planner/scenario.yaml';
const arms = { off: 0, verdict: 0.05, profiling: 1 } as const;
type Arm = keyof typeof arms;

const project = await openProject(file);
const [requestClass] = project.workload.classes.map((each) => each.name);
const metrics = { p50: 'latency.p50', cpuPerRequest: 'cpu' } as const;
const reading = (block: Block, metric: string) => metricOf(block, metric, metric === 'cpu' ? undefined : requestClass);

const target = await openTarget(project);
const collector = await (await otlp.load()).start('127.0.0.1');
const path = await mkdtemp(join(tmpdir(), 'dmas-overhead-'));
const rounds: { readonly [arm in Arm]: Block }[] = [];
try {
  const { signal } = new AbortController();
  const context = { emit: () => {}, signal, now: Date.now, seed: project.scenario.config.seed };
  const folder = await createRunFolder(path, 'overhead', Date.now());
  const laboratory = await createLaboratory({ project, target, collector, folder, context });
  const arena = await laboratory.openArena([project.baseline], signal);
  try {
    const [failure] = arena.failures;
    if (failure) throw new Error(failure.message);
    const block = async (round: number, arm: Arm, warmupMs: number) => {
      const request = {
        id: `overhead-${round}-${arm}`,
        configurationId: configurationId(project.baseline),
        purpose: 'trial' as const,
        round,
        seed: context.seed + round,
        warmupMs,
        durationMs: Number(values.seconds) * 1000,
        samplingRatio: arms[arm],
        rateScale: Number(values['rate-scale']),
      };
      return (await arena.block(request, signal)).block;
    };
    // Round 0 warms processes up and counts for nothing.
    for (let round = 0; round <= Number(values.pairs); round++) {
      const names = Object.keys(arms) as Arm[];
      const order = [...names.slice(round % names.length), ...names.slice(0, round % names.length)];
      const blocks: Partial<Record<Arm, Block>> = {};
      for (const arm of order) blocks[arm] = await block(round, arm, Number(values['warmup-seconds']) * 1000);
      const { off, verdict, profiling } = blocks;
      if (round === 0 || !off || !verdict || !profiling) continue;
      rounds.push({ off, verdict, profiling });
      const shown = names.map((arm) => `${arm} ${blocks[arm] ? reading(blocks[arm], metrics.p50)?.toFixed(1) : '?'} ms`);
      console.log(`round ${round}: p50 ${shown.join(', ')}`);
    }
  } finally {
    await arena.close();
    await laboratory.close?.();
  }
} finally {
  await collector.close();
  await rm(path, { recursive: true, force: true });
}

/** Ratio on/off over the rounds in which both blocks could measure. */
function ratio(arm: Exclude<Arm, 'off'>, metric: string) {
  const logs = rounds.flatMap(({ off, [arm]: on }) => {
    const [before, after] = [reading(off, metric), reading(on, metric)];
    return off.quality.valid && on.quality.valid && before && after ? [Math.log(after / before)] : [];
  });
  const { point, low, high } = pairedInterval(logs, 0.95, 1);
  const finite = (value: number) => (Number.isFinite(value) ? Number(Math.exp(value).toFixed(4)) : null);
  return { ratio: logs.length === 0 ? null : finite(point), low: finite(low), high: finite(high), pairs: logs.length };
}

const faults = rounds.flatMap((round) => Object.values(round).flatMap((block) => block.quality.faults.map(({ fault }) => fault)));
const result = (arm: Exclude<Arm, 'off'>) => ({
  samplingRatio: arms[arm],
  p50: ratio(arm, metrics.p50),
  cpuPerRequest: ratio(arm, metrics.cpuPerRequest),
});
console.log(
  JSON.stringify({
    overhead: { scenario: project.scenario.name, rounds: rounds.length, verdict: result('verdict'), profiling: result('profiling') },
    blocksThatCouldNotMeasure: Object.fromEntries(
      [...new Set(faults)].map((fault) => [fault, faults.filter((each) => each === fault).length]),
    ),
  }),
);
