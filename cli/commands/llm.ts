import { dirname, join } from 'node:path';
import { exitCodes, fail } from '../../compiler/contracts/index.ts';
import { type Comparison, compareReplay, type Distribution, replayLog, usualCachedShare } from '../../profiler/engine/compare.ts';
import { completeArgs, readEngineWords } from '../../profiler/engine/engine-args.ts';
import type { TableFile } from '../../profiler/engine/operator-timings.ts';
import { readRequestLog } from '../../profiler/engine/request-log.ts';
import { runStepTime } from '../../profiler/engine/run-setup.ts';
import { type EngineSetup, engineOf } from '../../runtime/llm/engine/options.ts';
import { genericSmall } from '../../runtime/llm/engine/params.ts';
import { table } from '../render/format.ts';
import { exists, isFolder, readOperatorFiles, readRunFolderFacts, readTable } from './llm/run-files.ts';

export interface LlmReplayOptions {
  /** A folder of operator timings, the name of a hardware profile, or a file that holds one. */
  readonly profile: string;
  readonly requests: string;
  /** A run's meta.json with config.json beside it, or settings as `name=value,…`. */
  readonly engineArgs?: string;
  readonly cachedShare?: number;
  readonly json?: boolean;
}

/** Replays a request log through the engine and prints how far it is from what was logged. */
export async function llmReplay(options: LlmReplayOptions): Promise<number> {
  const log = readRequestLog(await readTable(options.requests));
  const { setup, note } = await setupOf(options);
  const cachedShare = options.cachedShare ?? usualCachedShare;
  const assumed = setup.args.prefixCaching && log.some(({ tokensCached }) => tokensCached === undefined) ? cachedShare : 0;
  const startMs = performance.now();
  const replayed = runOrFail(options.requests, () => replayLog(log, setup.args, setup.stepTime, { cachedShare }));
  const replayMs = performance.now() - startMs;
  const comparison = compareReplay(log, replayed);
  const { steps, preemptions } = replayed;
  if (options.json) {
    const result = {
      evidence: setup.evidence,
      note,
      args: setup.args,
      assumedCachedShare: assumed,
      replayMs,
      steps,
      preemptions,
      ...comparison,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return exitCodes.success;
  }
  process.stdout.write(`${renderComparison(comparison)}\n`);
  process.stdout.write(`${steps} steps, ${preemptions} preemptions, replayed in ${replayMs.toFixed(0)} ms. ${note}\n`);
  if (setup.evidence === 'estimate')
    process.stdout.write('The step times are an estimate: no measurement of this model on this GPU is behind them.\n');
  if (assumed > 0) {
    process.stdout.write(
      `The log does not say what of the prompts was cached; ${(assumed * 100).toFixed(1)} % is assumed (--cached-share).\n`,
    );
  }
  return exitCodes.success;
}

/** A comparison as a table. */
export function renderComparison({ ttft, tpot, latency, tokensPerS, unqueued }: Comparison): string {
  const head = ['', 'logged ms', 'replayed ms', 'error %'];
  const rows = (name: string, distribution: Distribution | null) =>
    distribution === null
      ? []
      : (['mean', 'p50', 'p90', 'p95', 'p99'] as const).map((key) => {
          const { loggedMs, replayedMs, errorPct } = distribution[key];
          return [`${name} ${key}`, loggedMs.toFixed(1), replayedMs.toFixed(1), signed(errorPct)];
        });
  const unqueuedRows = unqueued === null ? [] : [rows(`TTFT unqueued (${unqueued.requests})`, unqueued.ttft)[0] ?? []];
  const throughput = ['tokens per s', tokensPerS.logged.toFixed(1), tokensPerS.replayed.toFixed(1), signed(tokensPerS.errorPct)];
  return table([head, ...rows('TTFT', ttft), ...unqueuedRows, ...rows('TPOT', tpot), ...rows('latency', latency), throughput], [1, 2, 3]);
}

const signed = (value: number) => `${value >= 0 ? '+' : ''}${value.toFixed(2)}`;

type Setup = Pick<EngineSetup, 'args' | 'stepTime' | 'evidence'>;

async function setupOf({ profile, requests, engineArgs }: LlmReplayOptions): Promise<{ setup: Setup; note: string }> {
  const inFile = engineArgs?.endsWith('.json') ?? false;
  const metaPath = engineArgs !== undefined && inFile ? engineArgs : join(dirname(requests), 'meta.json');
  if (await isFolder(profile)) {
    const run = await readRunFolderFacts(metaPath);
    const given = engineArgs === undefined || inFile ? {} : readEngineWords(engineArgs);
    const args = completeArgs({ ...run.args, ...given }, () => run.args.kvBlocks, 'DMAS_CLI_USAGE');
    const facts = { ...run, args };
    const files = await readOperatorFiles(profile, args.tensorParallelSize, facts.shape.experts > 0);
    const kv = given.kvBlocks !== undefined ? 'as given' : facts.kvLogged ? 'as logged' : 'computed from memory';
    const note = `${args.kvBlocks} KV blocks per rank, ${kv}.`;
    return { setup: { args, stepTime: runStepTime(facts, files), evidence: 'measured' }, note };
  }
  const words = engineArgs === undefined || inFile ? undefined : readEngineWords(engineArgs, profileOptions);
  const facts =
    words === undefined && (engineArgs !== undefined || (await exists(metaPath))) ? await readRunFolderFacts(metaPath) : undefined;
  const given = profile.endsWith('.json') ? parseProfile(await readTable(profile)) : profile;
  try {
    const setup = engineOf({ ...(facts?.args ?? {}), ...(facts ? { model: facts.model } : {}), ...words, profile: given });
    return { setup, note: `Profile ${setup.profile}, ${setup.args.kvBlocks} KV blocks per rank.` };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail('DMAS_ENGINE_FILE', error.message, { fix: 'See docs/engine.md for profiles and engine arguments.', cause: error });
  }
}

/** Options of a profile that are no engine arguments, and those of `generic-small`. */
const profileOptions = ['gpu', 'model', 'gpuMemoryUtilization', ...Object.keys(genericSmall)];

function parseProfile({ path, text }: TableFile): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return fail('DMAS_ENGINE_FILE', `${path}: not JSON: ${(error as Error).message}`, { fix: 'A hardware profile is one JSON object.' });
  }
}

function runOrFail<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail('DMAS_ENGINE_FILE', `${path}: ${error.message}`, { fix: 'Raise kvBlocks, or leave the request out.', cause: error });
  }
}
