/**
 * The serving engine beside real runs. `npm run bench:engine -- <folder of run folders>`: every run folder (docs/engine.md says what is
 * in one) is replayed from its operator timings and held against what was logged, and against the rival's `summary.txt` where there is one.
 * Then the same with step times fitted on the first half of the log alone, judged on the second. A folder with missing parts is
 * reported and left out. The last line is JSON.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readOperatorFiles, readRunFolderFacts } from '../../cli/commands/llm/run-files.ts';
import { renderComparison } from '../../cli/commands/llm.ts';
import { DmasError } from '../../compiler/contracts/index.ts';
import { type Comparison, compareReplay, replayLog, usualCachedShare } from '../../profiler/engine/compare.ts';
import { type LogRequest, readRequestLog } from '../../profiler/engine/request-log.ts';
import { runStepTime } from '../../profiler/engine/run-setup.ts';
import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { EngineArgs, StepTime } from '../../runtime/llm/engine/step-time.ts';
import { coefficientStepTime } from '../../runtime/llm/engine/step-times.ts';
import { parseRivalSummary } from './lib/rival-summary.ts';

const folder = resolve(process.argv[2] ?? '../shared/data/llm-engine');
const names = (await readdir(folder, { withFileTypes: true }).catch(() => []))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();
if (names.length === 0) process.stdout.write(`no run folders in ${folder}\n`);

const warmUpRuns = 5;
const timedRuns = 11;
const round = (value: number | undefined) => (value === undefined ? null : Math.round(value * 1000) / 1000);

const runs = [];
for (const name of names) {
  try {
    runs.push(await run(name, join(folder, name)));
  } catch (error) {
    const reason = error instanceof DmasError ? error.message : String(error);
    process.stdout.write(`${name}: left out: ${reason}\n\n`);
  }
}
process.stdout.write(`${JSON.stringify({ runs })}\n`);

async function run(name: string, path: string) {
  const facts = await readRunFolderFacts(join(path, 'meta.json'));
  const log = readRequestLog({ path: join(path, 'requests.jsonl'), text: await readFile(join(path, 'requests.jsonl'), 'utf8') });
  const files = await readOperatorFiles(join(path, 'profile'), facts.args.tensorParallelSize, facts.shape.experts > 0);
  const stepTime = runStepTime(facts, files);
  const cachedShare = facts.args.prefixCaching ? usualCachedShare : 0;
  const replayed = replayLog(log, facts.args, stepTime, { cachedShare });
  const comparison = compareReplay(log, replayed);
  const uncached = compareReplay(log, replayLog(log, facts.args, stepTime));
  const replayMs = medianMs(() => replayLog(log, facts.args, stepTime, { cachedShare }));
  const summary = await readFile(join(path, 'summary.txt'), 'utf8').catch(() => undefined);
  const rival = summary === undefined ? undefined : parseRivalSummary(summary);
  const halves = await secondHalf(log, facts.args);

  const kv = facts.kvLogged ? 'logged' : 'computed from memory';
  process.stdout.write(`${name}: ${facts.model}, ${facts.args.kvBlocks} KV blocks per rank (${kv})\n${renderComparison(comparison)}\n`);
  process.stdout.write(
    `${replayed.steps} steps, ${replayed.preemptions} preemptions; replayed in ${replayMs.toFixed(1)} ms; cached share assumed ${cachedShare}, with none: ${means(uncached)}\n`,
  );
  if (rival) process.stdout.write(`rival: ${rival.map(({ metric, errorPct }) => `${metric} ${errorPct}`).join(', ')} %\n`);
  process.stdout.write(
    halves === undefined
      ? 'fitted on the first half: no fitter\n\n'
      : `fitted on the first half, judged on the second: ${means(halves)}\n\n`,
  );
  const mean = (key: 'ttft' | 'tpot' | 'latency') => comparison[key]?.mean.errorPct;
  const rivalOf = (metric: string) => rival?.find((row) => row.metric === metric)?.errorPct ?? null;
  return {
    name,
    latency_mean_err_pct: round(mean('latency')),
    tpot_mean_err_pct: round(mean('tpot')),
    ttft_mean_err_pct: round(mean('ttft')),
    p95_latency_err_pct: round(comparison.latency.p95.errorPct),
    unqueued_ttft_err_pct: round(comparison.unqueued?.ttft.mean.errorPct),
    replay_ms: round(replayMs),
    unqueued_warm_ttft_err_pct: round(comparison.unqueuedWarm?.ttft.mean.errorPct),
    throughput_err_pct: round(comparison.tokensPerS.errorPct),
    assumed_cached_share: cachedShare,
    uncached_latency_mean_err_pct: round(uncached.latency.mean.errorPct),
    uncached_tpot_mean_err_pct: round(uncached.tpot?.mean.errorPct),
    uncached_ttft_mean_err_pct: round(uncached.ttft.mean.errorPct),
    rival_latency_mean_err_pct: rivalOf('Latency Mean'),
    rival_tpot_mean_err_pct: rivalOf('TPOT Mean'),
    rival_ttft_mean_err_pct: rivalOf('TTFT Mean'),
    half_latency_mean_err_pct: round(halves?.latency.mean.errorPct),
    half_tpot_mean_err_pct: round(halves?.tpot?.mean.errorPct),
    half_ttft_mean_err_pct: round(halves?.ttft.mean.errorPct),
  };
}

function means({ latency, tpot, ttft }: Comparison): string {
  const of = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(2)} %`);
  return `mean latency ${of(latency.mean.errorPct)}, TPOT ${of(tpot?.mean.errorPct)}, TTFT ${of(ttft.mean.errorPct)}`;
}

/** After some runs to warm up. */
function medianMs(once: () => void): number {
  for (let index = 0; index < warmUpRuns; index++) once();
  const times = Array.from({ length: timedRuns }, () => {
    const startMs = performance.now();
    once();
    return performance.now() - startMs;
  }).sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] ?? 0;
}

/** Step times from what the first half of the requests shows, held against the second half. */
async function secondHalf(log: readonly LogRequest[], args: EngineArgs): Promise<Comparison | undefined> {
  const fitLog = await loadFitter();
  if (!fitLog) return undefined;
  const order = log.map((_, index) => index).sort((a, b) => (log[a]?.arrivalMs ?? 0) - (log[b]?.arrivalMs ?? 0));
  const cut = order.slice(0, Math.floor(order.length / 2));
  const rest = order.slice(cut.length);
  // From then on steps hold what the first half does not show.
  const untilMs = Math.min(...rest.map((index) => log[index]?.scheduledMs ?? 0));
  const stepTime = fitLog(
    cut.map((index) => log[index] as LogRequest),
    args,
    untilMs,
  );
  const replayed = replayLog(log, args, stepTime);
  return compareReplay(
    rest.map((index) => log[index] as LogRequest),
    { ...replayed, requests: rest.map((index) => replayed.requests[index] as (typeof replayed.requests)[number]) },
  );
}

type Fitter = (requests: readonly LogRequest[], args: EngineArgs, untilMs: number) => StepTime;

/** `fitFromLog`, where the project has it; without, that judgement is left out. */
async function loadFitter(): Promise<Fitter | undefined> {
  const path = '../../profiler/engine/fit-log.ts';
  const found = (await import(path).catch(() => undefined)) as { readonly fitFromLog?: FitFromLog } | undefined;
  const fitLog = found?.fitFromLog;
  return fitLog && ((requests, args, untilMs) => coefficientStepTime(fitLog(requests, args, { untilMs }).coefficients));
}

type FitFromLog = (
  requests: readonly LogRequest[],
  args: EngineArgs,
  options: { readonly untilMs: number },
) => { readonly coefficients: StepCoefficients };
