import type { MetricPage, MetricSample } from './prometheus.ts';
import { type EngineFacts, type EngineReading, firstOf, histogramOf, sumOf } from './reading.ts';

/**
 * Names of vLLM's metrics, the present one first, then those of earlier releases (`vllm/v1/metrics/loggers.py`; before
 * it `vllm/engine/metrics.py`).
 */
const names = {
  running: ['vllm:num_requests_running'],
  waiting: ['vllm:num_requests_waiting'],
  kvUse: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
  tokensIn: ['vllm:prompt_tokens_total'],
  tokensCached: ['vllm:prompt_tokens_cached_total', 'vllm:prefix_cache_hits_total', 'vllm:gpu_prefix_cache_hits_total'],
  tokensOut: ['vllm:generation_tokens_total'],
  preemptions: ['vllm:num_preemptions_total'],
  timeToFirstTokenMs: ['vllm:time_to_first_token_seconds'],
  timePerOutputTokenMs: [
    'vllm:request_time_per_output_token_seconds',
    'vllm:inter_token_latency_seconds',
    'vllm:time_per_output_token_seconds',
  ],
  queueMs: ['vllm:request_queue_time_seconds', 'vllm:time_in_queue_requests'],
  prefillMs: ['vllm:request_prefill_time_seconds'],
  decodeMs: ['vllm:request_decode_time_seconds'],
} as const;

/** What a vLLM server says of each of its engines; null where the page is of something else. */
export function readVllm(page: MetricPage, model?: string): EngineReading | null {
  const running = page.samples.get(names.running[0]) ?? [];
  if (running.length === 0) return null;
  // A page may speak of several models; where none has our name, all of it is ours.
  const named = running.some(({ labels }) => labels.model_name === model);
  const ofModel = ({ labels }: MetricSample) => !named || labels.model_name === model;
  const ids = [...new Set(running.filter(ofModel).map(({ labels }) => labels.engine ?? '0'))].sort();
  const engines = ids.map((id): EngineFacts => {
    const keep = (sample: MetricSample) => ofModel(sample) && (sample.labels.engine ?? '0') === id;
    const sum = (list: readonly string[]) => sumOf(firstOf(page, list, keep));
    const histogram = (list: readonly string[]) => histogramOf(page, list, keep);
    const { kvUse, tokensIn, tokensCached, tokensOut, preemptions } = names;
    return {
      id,
      running: sum(names.running) ?? 0,
      waiting: sum(names.waiting) ?? 0,
      kvUse: sum(kvUse),
      counters: { tokensIn: sum(tokensIn), tokensCached: sum(tokensCached), tokensOut: sum(tokensOut), preemptions: sum(preemptions) },
      histograms: {
        timeToFirstTokenMs: histogram(names.timeToFirstTokenMs),
        timePerOutputTokenMs: histogram(names.timePerOutputTokenMs),
        queueMs: histogram(names.queueMs),
        prefillMs: histogram(names.prefillMs),
        decodeMs: histogram(names.decodeMs),
      },
    };
  });
  return { source: 'vllm', engines };
}
