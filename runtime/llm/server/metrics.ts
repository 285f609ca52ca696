import type { EngineStats } from '../engine/engine.ts';
import type { RequestTimings } from './live-engine.ts';

/** Bucket bounds in seconds as in vLLM's `metrics/loggers.py`, so that dashboards made for it work here. */
const firstTokenBounds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
const perTokenBounds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const requestBounds = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

interface Histogram {
  readonly bounds: readonly number[];
  /** Not yet cumulative. */
  readonly counts: number[];
  sum: number;
  count: number;
}

const histogram = (bounds: readonly number[]): Histogram => ({ bounds, counts: bounds.map(() => 0), sum: 0, count: 0 });

function observe(into: Histogram, seconds: number): void {
  into.sum += seconds;
  into.count++;
  const index = into.bounds.findIndex((bound) => seconds <= bound);
  if (index >= 0) into.counts[index] = (into.counts[index] ?? 0) + 1;
}

export interface ModelMetrics {
  accepted(tokensIn: number, tokensCached: number): void;
  finished(timings: RequestTimings, tokensOut: number, reason: string): void;
  /** Prometheus text format. */
  render(stats: EngineStats): string;
}

/** vLLM's metric names for one engine. */
export function createMetrics(modelName: string): ModelMetrics {
  const firstToken = histogram(firstTokenBounds);
  const perToken = histogram(perTokenBounds);
  const total = histogram(requestBounds);
  const queued = histogram(requestBounds);
  const totals = { promptTokens: 0, cachedTokens: 0, generationTokens: 0 };
  const finishes = new Map<string, number>();
  const labels = `model_name=${JSON.stringify(modelName)},engine="0"`;

  const single = (name: string, type: 'gauge' | 'counter', help: string, value: number) =>
    `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} ${type}\nvllm:${name}{${labels}} ${value}\n`;
  const lines = (name: string, help: string, { bounds, counts, sum, count }: Histogram) => {
    let running = 0;
    const buckets = [...bounds.map((bound, index) => [bound, counts[index] ?? 0] as const), ['+Inf', 0] as const].map(([bound, add]) => {
      running = bound === '+Inf' ? count : running + add;
      return `vllm:${name}_bucket{${labels},le="${bound}"} ${running}\n`;
    });
    const head = `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} histogram\n`;
    return `${head}${buckets.join('')}vllm:${name}_sum{${labels}} ${sum}\nvllm:${name}_count{${labels}} ${count}\n`;
  };

  return {
    accepted: (tokensIn, tokensCached) => {
      totals.promptTokens += tokensIn;
      totals.cachedTokens += tokensCached;
    },
    finished: ({ queuedMs, prefillMs, decodeMs }, tokensOut, reason) => {
      totals.generationTokens += tokensOut;
      finishes.set(reason, (finishes.get(reason) ?? 0) + 1);
      observe(queued, queuedMs / 1000);
      observe(firstToken, (queuedMs + prefillMs) / 1000);
      observe(total, (queuedMs + prefillMs + decodeMs) / 1000);
      if (tokensOut > 1) observe(perToken, decodeMs / (tokensOut - 1) / 1000);
    },
    render: (stats) => {
      const used = stats.kvBlocksUsed / stats.kvBlocks;
      const reasons = [...finishes].map(([reason, n]) => `vllm:request_success_total{${labels},finished_reason="${reason}"} ${n}\n`);
      return [
        single('num_requests_running', 'gauge', 'Number of requests in the running batch.', stats.running),
        single('num_requests_waiting', 'gauge', 'Number of requests waiting to be admitted.', stats.waiting),
        single('kv_cache_usage_perc', 'gauge', 'KV cache in use. 1 means all of it.', used),
        single('gpu_cache_usage_perc', 'gauge', 'Older name of kv_cache_usage_perc.', used),
        single('prompt_tokens_total', 'counter', 'Number of prompt tokens.', totals.promptTokens),
        single('generation_tokens_total', 'counter', 'Number of tokens produced.', totals.generationTokens),
        single('prefix_cache_queries_total', 'counter', 'Prompt tokens looked up in the prefix cache.', totals.promptTokens),
        single('prefix_cache_hits_total', 'counter', 'Prompt tokens found in the prefix cache.', totals.cachedTokens),
        `# HELP vllm:request_success_total Requests finished.\n# TYPE vllm:request_success_total counter\n${reasons.join('')}`,
        lines('time_to_first_token_seconds', 'Time to the first token.', firstToken),
        lines('time_per_output_token_seconds', 'Mean time per token after the first, per request.', perToken),
        lines('e2e_request_latency_seconds', 'Time of a whole request.', total),
        lines('request_queue_time_seconds', 'Time waiting to be admitted.', queued),
      ].join('');
    },
  };
}
