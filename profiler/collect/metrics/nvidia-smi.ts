import type { GpuReading } from './reading.ts';

const columns = ['index', 'uuid', 'utilization.gpu', 'memory.used', 'memory.total', 'power.draw'] as const;

export const nvidiaSmiCommand: readonly string[] = ['nvidia-smi', `--query-gpu=${columns.join(',')}`, '--format=csv,noheader,nounits'];

/**
 * GPUs as `nvidia-smi` lists them: percent, MiB and W, and words in brackets for what a GPU does not say.
 * @throws RangeError naming the line that is no such list
 */
export function readNvidiaSmi(text: string): readonly GpuReading[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, index) => {
    const cells = line.split(',').map((cell) => cell.trim());
    const [number = '', uuid = '', percent = '', used = '', total = '', watts = ''] = cells;
    if (cells.length !== columns.length || !/^\d+$/.test(number))
      throw new RangeError(`line ${index + 1} of nvidia-smi: ${line.slice(0, 80)}`);
    const share = numberIn(percent);
    return {
      id: uuid,
      index: number,
      utilization: share === null ? null : share / 100,
      memoryUsedMb: numberIn(used),
      memoryTotalMb: numberIn(total),
      powerW: numberIn(watts),
    };
  });
}

const numberIn = (cell: string): number | null => (/^\d+(\.\d+)?$/.test(cell) ? Number(cell) : null);
