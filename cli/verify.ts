import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bundleJob } from '../compiler/bundle.ts';
import { type Block, type Configuration, configurationId, fail, type StageContext } from '../compiler/contracts/index.ts';
import { roundSeed } from '../optimizer/race/schedule.ts';
import { foldBlock } from '../profiler/block.ts';
import type { LoadResult, LoadUnwritten } from '../profiler/load/job.ts';
import { loadJob } from '../profiler/load/workload.ts';
import { readSamples } from '../profiler/store/samples.ts';
import type { ReportTrial } from '../reports/report.ts';
import type { Target } from '../runtime/targets/target.ts';
import { judge, mainClass, type Verification } from './judgement.ts';
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
