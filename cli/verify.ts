import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bundleJob } from '../compiler/bundle.ts';
import { type Block, type Configuration, configurationId, type Estimate, fail, type StageContext } from '../compiler/contracts/index.ts';
import { roundSeed } from '../optimizer/race/schedule.ts';
import { foldBlock } from '../profiler/block.ts';
import type { LoadResult, LoadUnwritten } from '../profiler/load/job.ts';
import { loadJob } from '../profiler/load/workload.ts';
import { checkLimit, type LimitCheck, meanOver } from '../profiler/stats/limits.ts';
import { readSamples } from '../profiler/store/samples.ts';
import type { ReportTrial } from '../reports/report.ts';
import type { Target } from '../runtime/targets/target.ts';
import { planOf } from './laboratory.ts';
import type { Project } from './project.ts';
import { openReference } from './reference.ts';
import type { RunFolder } from './run-folder.ts';
import { studyTiming } from './timing.ts';

export interface VerifyInput {
  readonly project: Project;
  readonly target: Target;
  readonly run: RunFolder;
  readonly trial: ReportTrial;
  readonly urls: readonly string[];
  /** Answers are held against those of the study; not where other models answer than did there. */
  readonly sameModels: boolean;
  /** A folder of this verification alone. */
  readonly folder: string;
  readonly context: StageContext;
  readonly told: (line: string) => void;
}

/** One number of the report beside what was measured now. */
export interface VerifiedNumber {
  readonly name: string;
  readonly unit: 'ms' | 'usd' | 'share';
  readonly reported: Estimate | null;
  readonly measured: Estimate | null;
  /**
   * `inside`: what was measured lies in the report's interval, widened by the margin. `worse` and `better`: not even its
   * own interval touches that. `undecided`: neither, or one of the two is missing.
   */
  readonly verdict: 'inside' | 'worse' | 'better' | 'undecided';
}

export interface Verification {
  readonly numbers: readonly VerifiedNumber[];
  readonly limits: readonly (LimitCheck & { readonly metric: string; readonly requestClass: string | null })[];
  readonly blocks: readonly Block[];
}

const graceMs = 5_000;
const jobMarginMs = 60_000;

/**
 * Sends the load of the study's confirmation once more, the same arrivals and inputs, and holds what comes back against
 * the report. As many rounds as the confirmation had at least, and on up to its most while something is undecided.
 */
export async function verifyTrial(input: VerifyInput): Promise<Verification> {
  const { project, trial, told } = input;
  const { minRounds, maxRounds } = studyTiming(project.scenario);
  const blocks: Block[] = [];
  for (let round = 0; ; round++) {
    const block = await measure(input, round);
    blocks.push(block);
    const faults = block.quality.faults.map(({ detail }) => detail).join(' ');
    told(`block ${round + 1}: ${block.quality.valid ? describe(block) : `does not count. ${faults}`}`);
    const found = judge(blocks, trial, project);
    const open = found.numbers.some(({ verdict }) => verdict === 'undecided') || found.limits.some(({ holds }) => holds === null);
    if (round + 1 >= maxRounds || (round + 1 >= minRounds && !open)) return found;
  }
}

async function measure(input: VerifyInput, round: number): Promise<Block> {
  const { project, target, trial, context, folder } = input;
  const timing = studyTiming(project.scenario);
  const { warmupMs, durationMs } = timing;
  const seed = roundSeed(project.scenario.config.seed, 'confirm', round);
  const id = `verify-${round}-${trial.configurationId}`;
  const samplesFile = join(folder, `${id}.ndjson`);
  const known = input.sameModels ? (await openReference(input.run.file('reference.json'))).known() : undefined;
  const job = loadJob({
    workload: project.workload,
    request: { id, configurationId: trial.configurationId, purpose: 'confirm', round, seed, warmupMs, durationMs, samplingRatio: 0 },
    urls: input.urls,
    samplesFile,
    graceMs,
    expected: known?.answers,
  });
  const code = await bundleJob('profiler/load/driver-main');
  const startedAtMs = context.now();
  mkdirSync(folder, { recursive: true });
  const timeoutMs = warmupMs + durationMs + graceMs + jobMarginMs;
  const result = (await target.runJob({ id, code, input: job, folder, timeoutMs }, context)) as LoadResult | LoadUnwritten;
  if ('disk' in result) fail('DMAS_ENV_DISK', `the samples of ${id} could not be written: ${result.disk}`);
  return foldBlock({
    ...{ id, purpose: 'confirm', round, seed, startedAtMs, warmupMs, durationMs, samplingRatio: 0 },
    configurationId: trial.configurationId,
    deploymentId: 'verified',
    provenance: trial.p50Ms?.provenance ?? 'measured',
    workflow: project.workflow,
    // As it was studied: the gateway that stays before a live layout is no part of what the report prices.
    plan: planOf(project, trial.configuration),
    prices: project.scenario.config.prices,
    samples: await readSamples(samplesFile),
    load: result.facts,
    ...{ usageBefore: [], usageAfter: [], incidents: [], spans: [] },
    ...(known === undefined ? {} : { tokensUsdPerRequest: known.tokensUsdPerRequest }),
  });
}

export function judge(blocks: readonly Block[], trial: ReportTrial, project: Pick<Project, 'scenario'>): Verification {
  const { margin, slo } = project.scenario.config.objective;
  const main = mainClass(blocks);
  const number = (name: string, unit: VerifiedNumber['unit'], reported: Estimate | null, metric: string, requestClass?: string) => {
    const measured = meanOver(blocks, metric, requestClass);
    return { name, unit, reported, measured, verdict: against(reported, measured, margin) };
  };
  const share = (rate: number | null): Estimate | null =>
    rate === null ? null : { point: rate, low: rate, high: rate, level: 0.95, n: trial.blocks.length, provenance: 'measured' };
  const errors = meanOver(blocks, 'errorRate');
  const reportedErrors = share(trial.errorRate);
  return {
    blocks,
    numbers: [
      number(`p50 of ${main}`, 'ms', trial.p50Ms, 'latency.p50', main),
      number(`p95 of ${main}`, 'ms', trial.p95Ms, 'latency.p95', main),
      number('cost per 1000 requests', 'usd', trial.usdPer1000, 'cost'),
      // The report has no interval for it, and a share near nothing has no margin in percent: only more of them is worse.
      {
        name: 'error rate',
        unit: 'share',
        reported: reportedErrors,
        measured: errors,
        verdict: errorsAgainst(reportedErrors, errors, margin),
      },
    ],
    limits: slo.map((limit) => ({ metric: limit.metric, requestClass: limit.class ?? null, ...checkLimit(blocks, limit) })),
  };
}

function against(reported: Estimate | null, measured: Estimate | null, margin: number): VerifiedNumber['verdict'] {
  if (reported === null || measured === null) return 'undecided';
  const [low, high] = [reported.low * (1 - margin), reported.high * (1 + margin)];
  if (measured.point >= low && measured.point <= high) return 'inside';
  if (measured.low > high) return 'worse';
  return measured.high < low ? 'better' : 'undecided';
}

function errorsAgainst(reported: Estimate | null, measured: Estimate | null, margin: number): VerifiedNumber['verdict'] {
  if (reported === null || measured === null) return 'undecided';
  const high = reported.high + margin;
  if (measured.point <= high) return 'inside';
  return measured.low > high ? 'worse' : 'undecided';
}

function mainClass(blocks: readonly Block[]): string {
  const classes = Object.entries(blocks[0]?.classes ?? {});
  return classes.sort((a, b) => b[1].requests - a[1].requests)[0]?.[0] ?? 'default';
}

function describe(block: Block): string {
  const { latencyMs, requests, ok } = block.classes[mainClass([block])] ?? { latencyMs: null, requests: 0, ok: 0 };
  const times = latencyMs === null ? 'no right answer' : `p50 ${latencyMs.p50.toFixed(1)} ms, p95 ${latencyMs.p95.toFixed(1)} ms`;
  return `${requests} requests, ${ok} right, ${times}`;
}

/** The trial of a run with this configuration; fails where the run has none. */
export function trialOf(trials: readonly ReportTrial[], configuration: Configuration, run: string): ReportTrial {
  const id = configurationId(configuration);
  return (
    trials.find((trial) => trial.configurationId === id) ??
    fail('DMAS_CLI_USAGE', `what is deployed (${id}) is no layout run ${run} measured`, {
      allowed: trials.map(({ number, configurationId: known, label }) => `${number}: ${label} (${known})`),
      fix: 'Apply a layout of that run first, or verify against the run it came from.',
    })
  );
}
