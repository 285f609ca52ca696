import { createEngine } from '../../runtime/llm/engine/engine.ts';
import type { EngineArgs, StepTime } from '../../runtime/llm/engine/step-time.ts';
import type { LogRequest } from './request-log.ts';

export interface ReplayOptions {
  /** Of every prompt whose cached part the log does not say, with prefix caching on. */
  readonly cachedShare?: number;
}

/**
 * Of the prompt tokens of real chats, how many are the beginning of an earlier prompt, where nobody says. Counted in one
 * run of vLLM 0.19 (Qwen3-32B, 300 ShareGPT conversations): steps that were full completed 3.6 to 4.1 % more prompt tokens than
 * they had room for over the first 126 prompts, 6.4 to 7.3 % over the later 79 of those; in between. See docs/engine.md.
 */
export const usualCachedShare = 0.05;

export interface ReplayedRequest {
  /** From when the scheduler first saw it. */
  readonly firstTokenMs: number;
  readonly latencyMs: number;
  /** Mean time per token after the first; undefined for replies of one token. */
  readonly perTokenMs: number | undefined;
  readonly preemptions: number;
}

export interface Replayed {
  /** In the order of the log. */
  readonly requests: readonly ReplayedRequest[];
  /** From the first arrival to the last token. */
  readonly spanMs: number;
  readonly steps: number;
  readonly preemptions: number;
}

/** A request log through the engine: the same requests at the same times. @throws RangeError for a request that cannot run */
export function replayLog(log: readonly LogRequest[], args: EngineArgs, stepTime: StepTime, options: ReplayOptions = {}): Replayed {
  const engine = createEngine(args, stepTime);
  const share = args.prefixCaching ? (options.cachedShare ?? 0) : 0;
  const order = log.map((_, index) => index).sort((a, b) => arrivalOf(log, a) - arrivalOf(log, b));
  for (const index of order) {
    const { tokensIn, tokensOut, tokensCached, arrivalMs } = log[index] as LogRequest;
    const cached = tokensCached ?? (share > 0 ? Math.floor(share * tokensIn) : undefined);
    engine.submit({ id: String(index), tokensIn, tokensOut, atMs: arrivalMs, ...(cached === undefined ? {} : { tokensCached: cached }) });
  }
  const requests = new Array<ReplayedRequest>(log.length);
  let spanMs = 0;
  for (const event of engine.advanceTo(Number.POSITIVE_INFINITY)) {
    if (event.kind !== 'finished') continue;
    const { unseenMs, queuedMs, prefillMs, decodeMs, preemptions } = event;
    const firstTokenMs = queuedMs - unseenMs + prefillMs;
    const { tokensOut } = log[Number(event.id)] as LogRequest;
    const perTokenMs = tokensOut > 1 ? decodeMs / (tokensOut - 1) : undefined;
    requests[Number(event.id)] = { firstTokenMs, latencyMs: firstTokenMs + decodeMs, perTokenMs, preemptions };
    spanMs = Math.max(spanMs, event.atMs);
  }
  const { steps, preemptions } = engine.stats();
  return { requests, spanMs, steps, preemptions };
}

const arrivalOf = (log: readonly LogRequest[], index: number) => (log[index] as LogRequest).arrivalMs;

/** One number of the log beside the same of the replay. */
export interface Held {
  readonly loggedMs: number;
  readonly replayedMs: number;
  /** Replayed beyond logged, in per cent of logged. */
  readonly errorPct: number;
}

export interface Distribution {
  readonly mean: Held;
  readonly p50: Held;
  readonly p90: Held;
  readonly p95: Held;
  readonly p99: Held;
}

export interface Comparison {
  readonly requests: number;
  readonly ttft: Distribution;
  /** Over requests with more than one token. */
  readonly tpot: Distribution | null;
  readonly latency: Distribution;
  readonly tokensPerS: { readonly logged: number; readonly replayed: number; readonly errorPct: number };
  /** Requests that were put into a step less than 10 ms after they were seen; null where there are none. */
  readonly unqueued: { readonly requests: number; readonly ttft: Distribution } | null;
  /** Those of them that came after the first token of all: an engine's very first steps are slower than any later one. */
  readonly unqueuedWarm: { readonly requests: number; readonly ttft: Distribution } | null;
}

const unqueuedBelowMs = 10;

/** How far a replay is from what was logged. */
export function compareReplay(log: readonly LogRequest[], { requests, spanMs }: Replayed): Comparison {
  const all = log.map((_, index) => index);
  const ttft = (indices: readonly number[]) =>
    distribution(
      indices.map((index) => logged(log, index).firstTokenMs - logged(log, index).queuedMs),
      indices.map((index) => (requests[index] as ReplayedRequest).firstTokenMs),
    );
  const several = all.filter((index) => logged(log, index).tokensOut > 1);
  const unqueued = all.filter((index) => logged(log, index).scheduledMs - logged(log, index).queuedMs < unqueuedBelowMs);
  const warmMs = Math.min(...log.map(({ firstTokenMs }) => firstTokenMs));
  const warm = unqueued.filter((index) => logged(log, index).queuedMs >= warmMs);
  const tokens = log.reduce((sum, { tokensOut }) => sum + tokensOut, 0);
  const loggedPerS = (tokens / Math.max(...log.map(({ lastTokenMs }) => lastTokenMs))) * 1000;
  const replayedPerS = (tokens / spanMs) * 1000;
  return {
    requests: log.length,
    ttft: ttft(all),
    tpot:
      several.length === 0
        ? null
        : distribution(
            several.map((index) => {
              const { firstTokenMs, lastTokenMs, tokensOut } = logged(log, index);
              return (lastTokenMs - firstTokenMs) / (tokensOut - 1);
            }),
            several.map((index) => (requests[index] as ReplayedRequest).perTokenMs ?? 0),
          ),
    latency: distribution(
      all.map((index) => logged(log, index).lastTokenMs - logged(log, index).queuedMs),
      all.map((index) => (requests[index] as ReplayedRequest).latencyMs),
    ),
    tokensPerS: { logged: loggedPerS, replayed: replayedPerS, errorPct: errorOf(loggedPerS, replayedPerS) },
    unqueued: unqueued.length === 0 ? null : { requests: unqueued.length, ttft: ttft(unqueued) },
    unqueuedWarm: warm.length === 0 ? null : { requests: warm.length, ttft: ttft(warm) },
  };
}

const logged = (log: readonly LogRequest[], index: number) => log[index] as LogRequest;
const errorOf = (real: number, model: number) => (real === 0 ? (model === 0 ? 0 : Number.POSITIVE_INFINITY) : (model / real - 1) * 100);

function distribution(real: readonly number[], model: readonly number[]): Distribution {
  const held = (of: (values: readonly number[]) => number): Held => {
    const [loggedMs, replayedMs] = [of(real), of(model)];
    return { loggedMs, replayedMs, errorPct: errorOf(loggedMs, replayedMs) };
  };
  return {
    mean: held((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
    p50: held((values) => quantile(values, 0.5)),
    p90: held((values) => quantile(values, 0.9)),
    p95: held((values) => quantile(values, 0.95)),
    p99: held((values) => quantile(values, 0.99)),
  };
}

/** Linear between order statistics, as NumPy does it. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}
