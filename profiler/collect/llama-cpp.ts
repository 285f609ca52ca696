import { z } from 'zod';
import { defineMetricsCollector } from './collector.ts';

/** llama.cpp’s own server, started with its `--metrics`. */
export const llamaCppMetrics = defineMetricsCollector({
  id: 'llama-cpp',
  title: 'Load of llama.cpp servers',
  options: z.object({}),
  traits: { signal: 'metrics' },
  load: async () => {
    const { readLlamaCpp } = await import('./metrics/llama-cpp.ts');
    return { from: 'page', read: (page) => ({ engine: readLlamaCpp(page), gpus: [] }) };
  },
});
