import { availableParallelism, cpus, totalmem } from 'node:os';
import type { MachineFacts } from '../compiler/contracts/index.ts';

export const machineFacts = (): MachineFacts => ({
  cores: availableParallelism(),
  memoryMb: Math.round(totalmem() / 2 ** 20),
  cpuModel: cpus()[0]?.model.trim() || 'unknown',
  platform: `${process.platform}-${process.arch}`,
  node: process.versions.node,
});
