import type { EngineStats, RequestTimings } from '../engine/engine.ts';
import { type Family, type Histogram, histogram, type Labels, observe, simulatedHelp } from './prometheus.ts';

/**
 * Bucket bounds as in vLLM's `v1/metrics/loggers.py`, so that dashboards made for it work here; seconds, for
 * `iteration_tokens_total` tokens.
 */
const firstTokenBounds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
const perTokenBounds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const requestBounds = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const iterationBounds = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

/** What vLLM calls the ends of a request; calling a tool is `stop` there. */
export type FinishedReason = 'stop' | 'length' | 'abort';

/** Counts of one engine since the server started. */
export interface EngineMetrics {
  firstToken(times: Pick<RequestTimings, 'queuedMs' | 'prefillMs'>, tokensIn: number): void;
  finished(timings: RequestTimings, tokensOut: number, reason: FinishedReason): void;
  /** Its client went away after so many tokens. */
  aborted(tokensProduced: number): void;
  /** A step worked on so many tokens; `times` equal ones in a row. */
  iteration(tokens: number, times: number): void;
  readonly counts: EngineCounts;
}

interface EngineCounts {
  promptTokens: number;
  generationTokens: number;
  readonly reasons: { [reason in FinishedReason]: number };
  readonly histograms: { readonly [name in TimingName | 'iteration_tokens_total']: Histogram };
}

const timings = {
  time_to_first_token_seconds: [firstTokenBounds, 'Time to first token.'],
  inter_token_latency_seconds: [perTokenBounds, 'Time between tokens, spread evenly over the tokens of a request.'],
  time_per_output_token_seconds: [perTokenBounds, 'Older name of inter_token_latency_seconds.'],
  request_time_per_output_token_seconds: [perTokenBounds, 'Mean time per token after the first, per request.'],
  e2e_request_latency_seconds: [requestBounds, 'Time of a whole request.'],
  request_queue_time_seconds: [requestBounds, 'Time in the WAITING phase of a request.'],
  request_inference_time_seconds: [requestBounds, 'Time in the RUNNING phase of a request.'],
  request_prefill_time_seconds: [requestBounds, 'Time in the PREFILL phase of a request.'],
  request_decode_time_seconds: [requestBounds, 'Time in the DECODE phase of a request.'],
} as const satisfies { readonly [name: string]: readonly [readonly number[], string] };
type TimingName = keyof typeof timings;
const timingNames = Object.keys(timings) as TimingName[];

export function createEngineMetrics(): EngineMetrics {
  const histograms = {
    ...(Object.fromEntries(timingNames.map((name) => [name, histogram(timings[name][0])])) as { [name in TimingName]: Histogram }),
    iteration_tokens_total: histogram(iterationBounds),
  };
  const counts: EngineCounts = { promptTokens: 0, generationTokens: 0, reasons: { stop: 0, length: 0, abort: 0 }, histograms };
  return {
    counts,
    firstToken: ({ queuedMs, prefillMs }, tokensIn) => {
      counts.promptTokens += tokensIn;
      observe(histograms.time_to_first_token_seconds, (queuedMs + prefillMs) / 1000);
    },
    finished: ({ queuedMs, prefillMs, decodeMs }, tokensOut, reason) => {
      counts.generationTokens += tokensOut;
      counts.reasons[reason]++;
      observe(histograms.request_queue_time_seconds, queuedMs / 1000);
      observe(histograms.request_prefill_time_seconds, prefillMs / 1000);
      observe(histograms.request_decode_time_seconds, decodeMs / 1000);
      observe(histograms.request_inference_time_seconds, (prefillMs + decodeMs) / 1000);
      observe(histograms.e2e_request_latency_seconds, (queuedMs + prefillMs + decodeMs) / 1000);
      if (tokensOut < 2) return;
      const gap = decodeMs / (tokensOut - 1) / 1000;
      observe(histograms.inter_token_latency_seconds, gap, tokensOut - 1);
      observe(histograms.time_per_output_token_seconds, gap, tokensOut - 1);
      observe(histograms.request_time_per_output_token_seconds, gap);
    },
    aborted: (tokensProduced) => {
      counts.generationTokens += tokensProduced;
      counts.reasons.abort++;
    },
    iteration: (tokens, times) => observe(histograms.iteration_tokens_total, tokens, times),
  };
}

/** One engine of a pool at the moment it is asked. */
export interface EngineReading {
  readonly counts: EngineCounts;
  readonly stats: EngineStats;
  /** Tokens that requests still under way have got so far. */
  readonly tokensUnderWay: number;
}

/** What the cache of every engine is like. */
export interface CacheConfig {
  readonly blockSize: number;
  /** Blocks of all ranks of one engine. */
  readonly blocks: number;
  readonly prefixCaching: boolean;
}

/** vLLM's metrics of all engines of a pool, label `engine` from 0 on. Every help text says that they are simulated. */
export function vllmFamilies(modelName: string, engines: readonly EngineReading[], cache: CacheConfig): Family[] {
  const labels = (engine: number): Labels => ({ model_name: modelName, engine: String(engine) });
  const each = (
    name: string,
    type: Family['type'],
    help: string,
    of: (reading: EngineReading) => number | Histogram,
    more: Labels = {},
  ): Family => ({
    name: `vllm:${name}`,
    type,
    help: simulatedHelp(help),
    samples: engines.map((reading, engine) => ({ labels: { ...labels(engine), ...more }, value: of(reading) })),
  });
  const kvUse = ({ stats }: EngineReading) => stats.kvBlocksUsed / stats.kvBlocks;
  return [
    each('num_requests_running', 'gauge', 'Requests in the running batch.', ({ stats }) => stats.running),
    each('num_requests_waiting', 'gauge', 'Requests waiting to be admitted.', ({ stats }) => stats.waiting),
    each('kv_cache_usage_perc', 'gauge', 'KV cache in use. 1 means all of it.', kvUse),
    each('gpu_cache_usage_perc', 'gauge', 'Older name of kv_cache_usage_perc.', kvUse),
    each('prefix_cache_queries_total', 'counter', 'Prompt tokens looked up in the prefix cache.', ({ stats }) => stats.prefixQueryTokens),
    each('prefix_cache_hits_total', 'counter', 'Prompt tokens found in the prefix cache.', ({ stats }) => stats.prefixHitTokens),
    each('num_preemptions_total', 'counter', 'Requests put back for want of KV cache.', ({ stats }) => stats.preemptions),
    each('prompt_tokens_total', 'counter', 'Prompt tokens processed, cached ones included.', ({ counts }) => counts.promptTokens),
    each(
      'generation_tokens_total',
      'counter',
      'Tokens produced.',
      ({ counts, tokensUnderWay }) => counts.generationTokens + tokensUnderWay,
    ),
    {
      name: 'vllm:request_success_total',
      type: 'counter',
      help: simulatedHelp('Requests finished, by reason.'),
      samples: engines.flatMap(({ counts }, engine) =>
        Object.entries(counts.reasons).map(([reason, value]) => ({ labels: { ...labels(engine), finished_reason: reason }, value })),
      ),
    },
    each(
      'iteration_tokens_total',
      'histogram',
      'Tokens worked on per engine step.',
      ({ counts }) => counts.histograms.iteration_tokens_total,
    ),
    ...timingNames.map((name) => each(name, 'histogram', timings[name][1], ({ counts }) => counts.histograms[name])),
    {
      name: 'vllm:cache_config_info',
      type: 'gauge',
      help: simulatedHelp('Configuration of the KV cache.'),
      samples: engines.map((_, engine) => ({
        labels: {
          block_size: String(cache.blockSize),
          num_gpu_blocks: String(cache.blocks),
          // As Python writes them, which is how vLLM does.
          enable_prefix_caching: cache.prefixCaching ? 'True' : 'False',
          engine: String(engine),
        },
        value: 1,
      })),
    },
  ];
}
