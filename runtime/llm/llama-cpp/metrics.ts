import type { SlotStats, SlotTimings } from './slot-engine.ts';

/** Bucket bounds in seconds as in vLLM's `metrics/loggers.py`, so that what reads vLLM's histograms reads these. */
const firstTokenBounds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
const perTokenBounds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const requestBounds = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

interface Histogram {
  readonly bounds: readonly number[];
  /** One more than bounds: the last is above all of them. */
  readonly counts: number[];
  sum: number;
}
const histogram = (bounds: readonly number[]): Histogram => ({ bounds, counts: [...bounds.map(() => 0), 0], sum: 0 });

function observe(into: Histogram, ms: number): void {
  const found = into.bounds.findIndex((bound) => ms / 1000 <= bound);
  const index = found < 0 ? into.bounds.length : found;
  into.counts[index] = (into.counts[index] ?? 0) + 1;
  into.sum += ms / 1000;
}

export interface LlamaMetrics {
  finished(timings: SlotTimings, tokensIn: number, reason: string): void;
  /** Prometheus text format. */
  render(stats: SlotStats): string;
}

/**
 * The engine's state under two sets of names: those of llama.cpp's own server (`llamacpp:`), and those of vLLM that mean the same here
 * (`vllm:`), so that one reader reads both engines. There is no preemption, so that counter stays 0.
 */
export function createLlamaMetrics(modelName: string): LlamaMetrics {
  const times = {
    time_to_first_token_seconds: histogram(firstTokenBounds),
    request_time_per_output_token_seconds: histogram(perTokenBounds),
    time_per_output_token_seconds: histogram(perTokenBounds),
    e2e_request_latency_seconds: histogram(requestBounds),
    request_queue_time_seconds: histogram(requestBounds),
    request_prefill_time_seconds: histogram(requestBounds),
    request_decode_time_seconds: histogram(requestBounds),
  };
  const finishes = new Map<string, number>();
  const totals = { prefillMs: 0, computed: 0, decodeMs: 0, predicted: 0 };
  const labels = `model_name=${JSON.stringify(modelName)},engine="0"`;

  return {
    finished: (timings, tokensIn, reason) => {
      const { queuedMs, prefillMs, decodeMs, tokensOut, tokensCached } = timings;
      finishes.set(reason, (finishes.get(reason) ?? 0) + 1);
      totals.prefillMs += prefillMs;
      totals.computed += tokensIn - tokensCached;
      totals.decodeMs += decodeMs;
      totals.predicted += tokensOut;
      observe(times.time_to_first_token_seconds, queuedMs + prefillMs);
      observe(times.e2e_request_latency_seconds, queuedMs + prefillMs + decodeMs);
      observe(times.request_queue_time_seconds, queuedMs);
      observe(times.request_prefill_time_seconds, prefillMs);
      observe(times.request_decode_time_seconds, decodeMs);
      if (tokensOut > 1) {
        observe(times.time_per_output_token_seconds, decodeMs / (tokensOut - 1));
        observe(times.request_time_per_output_token_seconds, decodeMs / (tokensOut - 1));
      }
    },
    render: (stats) => {
      const single = (name: string, type: 'gauge' | 'counter', help: string, value: number, set = '') =>
        `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${set} ${value}\n`;
      const llama = (name: string, type: 'gauge' | 'counter', help: string, value: number) => single(`llamacpp:${name}`, type, help, value);
      const vllm = (name: string, type: 'gauge' | 'counter', help: string, value: number) =>
        single(`vllm:${name}`, type, help, value, `{${labels}}`);
      const used = stats.heldTokens / stats.capacityTokens;
      const rate = (tokens: number, ms: number) => (ms > 0 ? (tokens / ms) * 1000 : 0);
      const reasons = [...finishes].map(([reason, n]) => `vllm:request_success_total{${labels},finished_reason="${reason}"} ${n}\n`);
      return [
        llama('prompt_tokens_total', 'counter', 'Prompt tokens computed.', totals.computed),
        llama('prompt_seconds_total', 'counter', 'Time requests spent on their prompts.', totals.prefillMs / 1000),
        llama('tokens_predicted_total', 'counter', 'Tokens produced.', totals.predicted),
        llama('tokens_predicted_seconds_total', 'counter', 'Time requests spent on producing tokens.', totals.decodeMs / 1000),
        llama('n_decode_total', 'counter', 'Batches computed.', stats.steps),
        llama(
          'n_busy_slots_per_decode',
          'gauge',
          'Mean number of slots with a part in a batch.',
          stats.slotSteps / Math.max(1, stats.steps),
        ),
        llama('prompt_tokens_seconds', 'gauge', 'Prompt tokens computed per second.', rate(totals.computed, totals.prefillMs)),
        llama('predicted_tokens_seconds', 'gauge', 'Tokens produced per second and request.', rate(totals.predicted, totals.decodeMs)),
        llama('kv_cache_usage_ratio', 'gauge', 'KV cache in use. 1 means all of it.', used),
        llama('kv_cache_tokens', 'gauge', 'Tokens in the KV cache.', stats.heldTokens),
        llama('requests_processing', 'gauge', 'Requests in a slot.', stats.running),
        llama('requests_deferred', 'gauge', 'Requests waiting for a slot.', stats.waiting),
        vllm('num_requests_running', 'gauge', 'Number of requests in the running batch.', stats.running),
        vllm('num_requests_waiting', 'gauge', 'Number of requests waiting to be admitted.', stats.waiting),
        vllm('kv_cache_usage_perc', 'gauge', 'KV cache in use. 1 means all of it.', used),
        vllm('num_preemptions_total', 'counter', 'Requests put back into the queue.', 0),
        vllm('prompt_tokens_total', 'counter', 'Number of prompt tokens, those found in a slot included.', stats.promptTokens),
        vllm('generation_tokens_total', 'counter', 'Number of tokens produced.', stats.outputTokens),
        vllm('prefix_cache_queries_total', 'counter', 'Prompt tokens compared with the contexts of idle slots.', stats.promptTokens),
        vllm('prefix_cache_hits_total', 'counter', 'Prompt tokens found in the slot chosen.', stats.cachedTokens),
        `# HELP vllm:request_success_total Requests finished.\n# TYPE vllm:request_success_total counter\n${reasons.join('')}`,
        ...Object.entries(times).map(([name, values]) => histogramLines(`vllm:${name}`, labels, values)),
      ].join('');
    },
  };
}

function histogramLines(name: string, labels: string, { bounds, counts, sum }: Histogram): string {
  let running = 0;
  const buckets = counts.map((count, index) => {
    running += count;
    return `${name}_bucket{${labels},le="${bounds[index] ?? '+Inf'}"} ${running}\n`;
  });
  return `# HELP ${name} As vLLM means it.\n# TYPE ${name} histogram\n${buckets.join('')}${name}_sum{${labels}} ${sum}\n${name}_count{${labels}} ${running}\n`;
}
