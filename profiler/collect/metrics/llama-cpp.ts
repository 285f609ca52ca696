import type { MetricPage } from './prometheus.ts';
import { type EngineReading, firstOf, noHistograms, sumOf } from './reading.ts';

const any = () => true;

/**
 * What llama.cpp's server says (`--metrics`); null where the page is of something else. It has no histograms, and only
 * older releases tell the use of the KV cache.
 */
export function readLlamaCpp(page: MetricPage): EngineReading | null {
  if (!page.samples.has('llamacpp:requests_processing')) return null;
  const sum = (...names: string[]) => sumOf(firstOf(page, names, any));
  return {
    source: 'llama-cpp',
    engines: [
      {
        id: '0',
        running: sum('llamacpp:requests_processing') ?? 0,
        waiting: sum('llamacpp:requests_deferred') ?? 0,
        kvUse: sum('llamacpp:kv_cache_usage_ratio'),
        counters: {
          tokensIn: sum('llamacpp:prompt_tokens_total'),
          tokensCached: sum('llamacpp:prompt_tokens_cached_total'),
          tokensOut: sum('llamacpp:tokens_predicted_total'),
          preemptions: null,
        },
        histograms: noHistograms,
      },
    ],
  };
}
