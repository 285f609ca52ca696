import { z } from 'zod';
import { defineMetricsCollector } from './collector.ts';

/** Also of the simulated engine, which speaks under vLLM’s names. */
export const vllmMetrics = defineMetricsCollector({
  id: 'vllm',
  title: 'Load of vLLM servers',
  options: z.object({}),
  traits: { signal: 'metrics' },
  load: async () => {
    const { readVllm } = await import('./metrics/vllm.ts');
    return { from: 'page', read: (page, model) => ({ engine: readVllm(page, model), gpus: [] }) };
  },
});
