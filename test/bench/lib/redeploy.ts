/**
 * Redeployments of a live system between random layouts under load that does not wait: the real driver in a process of its
 * own, the real compiler, units and target.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileLive, deployConfiguration, planOf } from '../../../cli/laboratory.ts';
import { openProject, openTarget, type Project } from '../../../cli/project.ts';
import { createRunFolder } from '../../../cli/run-folder.ts';
import { bundleJob } from '../../../compiler/bundle.ts';
import {
  type ChannelConfiguration,
  type Configuration,
  configurationId,
  createRandom,
  DmasError,
  fromPartition,
  placeableOf,
  type Random,
  type Sample,
  type StageContext,
} from '../../../compiler/contracts/index.ts';
import { satisfies } from '../../../optimizer/space/satisfies.ts';
import type { LoadResult } from '../../../profiler/load/job.ts';
import { loadJob, type Workload } from '../../../profiler/load/workload.ts';
import { readSamples } from '../../../profiler/store/samples.ts';

export interface RedeployOptions {
  readonly scenarioFile: string;
  readonly target: string;
  readonly updates: number;
  /** Requests per second, evenly spaced, over all classes together. */
  readonly perSecond: number;
  readonly seed: number;
  readonly told?: (line: string) => void;
}

export interface RedeployResult {
  readonly updates: number;
  readonly layouts: number;
  readonly sent: number;
  readonly failed: number;
  readonly errors: { readonly [error: string]: number };
  /** Inputs that were answered in more than one way. */
  readonly contradictions: number;
  readonly secondsPerUpdate: number;
  /** Between two answers that follow each other, in milliseconds. */
  readonly longestGapMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late the driver sent at most 1 % of the requests. */
  readonly driverLagP99Ms: number;
}

const wires: readonly ChannelConfiguration[] = [
  { protocol: 'http-json', options: {} },
  { protocol: 'http-json', options: { transport: 'unix' } },
  { protocol: 'grpc', options: {} },
];
/** Replicas of a unit are drawn from these; more would say nothing new on a machine of a few cores. */
const mostReplicas = 2;

/** A layout of the scenario at random: who shares a unit, replicas, what is spoken. */
export function randomLayout(project: Project, random: Random): Configuration {
  const names = placeableOf(project.workflow);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random.next() * values.length)] as T;
  for (;;) {
    const groups = new Map<number, string[]>();
    for (const name of names) {
      const group = Math.floor(random.next() * names.length);
      groups.set(group, [...(groups.get(group) ?? []), name]);
    }
    const drawn = fromPartition(project.workflow, [...groups.values()], project.defaults);
    const configuration: Configuration = {
      ...drawn,
      units: drawn.units.map((unit) => ({ ...unit, replicas: 1 + Math.floor(random.next() * mostReplicas) })),
      channels: Object.fromEntries(
        Object.entries(drawn.channels).map(([channel, present]) => [channel, present.protocol === 'http-json' ? pick(wires) : present]),
      ),
    };
    // Placement alone: what is spoken need not be what the scenario searches.
    const placed = { ...configuration, channels: drawn.channels, units: configuration.units.map((unit) => ({ ...unit, replicas: 1 })) };
    if (satisfies(project.space, placed).length > 0) continue;
    try {
      planOf(project, configuration, true);
      return configuration;
    } catch (error) {
      if (!(error instanceof DmasError)) throw error;
    }
  }
}

export async function redeployUnderLoad(options: RedeployOptions): Promise<RedeployResult> {
  const project = await openProject(options.scenarioFile, { target: options.target });
  const target = await openTarget(project);
  const runs = mkdtempSync(join(tmpdir(), 'dmas-redeploy-'));
  const random = createRandom(options.seed);
  const context: StageContext = { emit() {}, signal: new AbortController().signal, now: Date.now, seed: options.seed };
  try {
    const folder = await createRunFolder(runs, 'redeploy', Date.now());
    const first = randomLayout(project, random);
    const compiled = await compileLive(project, first);
    const deployment = await deployConfiguration({ project, target, folder, context }, first, 'redeploy', context, { compiled });
    try {
      const samplesFile = folder.file('samples/load.ndjson');
      const stopFile = folder.file('samples/load.stop');
      const job = loadJob({
        workload: evenly(project.workload, options.perSecond),
        request: {
          ...{ id: 'load', configurationId: 'any', purpose: 'race', round: 0, seed: options.seed },
          ...{ warmupMs: 0, durationMs: 24 * 3_600_000, samplingRatio: 0 },
        },
        urls: deployment.jobUrls ?? deployment.ingressUrls,
        samplesFile,
        stopFile,
        graceMs: 5_000,
        expected: undefined,
      });
      const code = await bundleJob('profiler/load/driver-main');
      const files = { writes: [samplesFile], watches: [stopFile] };
      const loading = target.runJob(
        { id: 'load', code, input: job, folder: runs, timeoutMs: 24 * 3_600_000, ...files },
        context,
      ) as Promise<LoadResult>;
      const lost = loading.then(() => {
        if (!existsSync(stopFile)) throw new Error('the load ended too early');
      });
      await Promise.race([sleep(1_500), lost]);
      const startedMs = performance.now();
      const layouts = new Set([configurationId(first)]);
      for (let n = 1; n <= options.updates; n++) {
        const next = randomLayout(project, random);
        layouts.add(configurationId(next));
        const update = await compileLive(project, next);
        const fromMs = performance.now();
        const since = () => ((performance.now() - fromMs) / 1000).toFixed(1);
        const phases: string[] = [];
        const entered = (phase: string) => void phases.push(`${phase} at ${since()}`);
        await Promise.race([deployment.update(update, context, { entered }), lost]);
        const units = update.plan.units.map(({ id, replicas }) => `${id} x${replicas}`).join(', ');
        options.told?.(`${n}/${options.updates} in ${since()} s (${phases.join(', ')}): ${units}`);
      }
      const secondsPerUpdate = (performance.now() - startedMs) / 1000 / Math.max(1, options.updates);
      await sleep(1_000);
      const lastMs = Date.now();
      // What is under way is broken off by the stop, and is no failure of ours: everything sent before a moment ago counts.
      await sleep(2_500);
      writeFileSync(stopFile, '');
      const result = await loading;
      const samples = await readSamples(samplesFile);
      return {
        ...summarize(samples, lastMs - (result.startedAtMs ?? 0)),
        updates: options.updates,
        layouts: layouts.size,
        secondsPerUpdate,
        ...judged(result),
      };
    } finally {
      await deployment.stop();
    }
  } finally {
    rmSync(runs, { recursive: true, force: true });
  }
}

/** Each class gets an equal share of the rate. */
const evenly = ({ classes }: Workload, perSecond: number): Workload => ({
  classes: classes.map((each) => ({ ...each, arrivals: { process: 'constant', perSecond: perSecond / classes.length } })),
});

function summarize(all: readonly Sample[], untilMs: number) {
  const samples = all.filter(({ intendedMs }) => intendedMs < untilMs);
  const failed = samples.filter(({ outcome }) => outcome !== 'ok');
  const errors: { [error: string]: number } = {};
  for (const { outcome, error } of failed) errors[error ?? outcome] = (errors[error ?? outcome] ?? 0) + 1;
  const ok = samples.filter(({ outcome }) => outcome === 'ok');
  const done = ok.map(({ doneMs }) => doneMs).sort((a, b) => a - b);
  const gaps = done.slice(1).map((at, index) => at - (done[index] ?? at));
  const latencies = ok.map(({ doneMs, intendedMs }) => doneMs - intendedMs).sort((a, b) => a - b);
  const quantile = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? Number.NaN;
  return {
    sent: samples.length,
    failed: failed.length,
    errors,
    longestGapMs: Math.max(0, ...gaps),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    maxMs: latencies.at(-1) ?? Number.NaN,
  };
}

const judged = ({ answers, facts }: LoadResult) => ({
  contradictions: Object.values(answers).reduce((sum, hashes) => sum + hashes.filter((hash) => hash === null).length, 0),
  driverLagP99Ms: facts.lagP99Ms,
});
