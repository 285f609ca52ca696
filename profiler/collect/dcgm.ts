import { z } from 'zod';
import { defineMetricsCollector } from './collector.ts';

/** NVIDIA’s exporter, or an engine that carries its names on a page of its own. */
export const dcgmMetrics = defineMetricsCollector({
  id: 'dcgm',
  title: 'GPUs as a DCGM exporter tells them',
  options: z.object({}),
  traits: { signal: 'metrics' },
  load: async () => {
    const { readDcgm } = await import('./metrics/dcgm.ts');
    return { from: 'page', read: (page) => ({ engine: null, gpus: readDcgm(page) }) };
  },
});
