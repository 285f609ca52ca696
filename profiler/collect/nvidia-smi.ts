import { z } from 'zod';
import { defineMetricsCollector } from './collector.ts';

/** Run only where the program is. */
export const nvidiaSmiMetrics = defineMetricsCollector({
  id: 'nvidia-smi',
  title: 'GPUs of this machine as its driver tells them',
  options: z.object({}),
  traits: { signal: 'metrics' },
  load: async () => {
    const { nvidiaSmiCommand, readNvidiaSmi } = await import('./metrics/nvidia-smi.ts');
    return { from: 'command', command: nvidiaSmiCommand, read: (text) => ({ engine: null, gpus: readNvidiaSmi(text) }) };
  },
});
