import type { MetricPage, MetricSample } from './prometheus.ts';
import type { GpuReading } from './reading.ts';

const fields = ['DCGM_FI_DEV_GPU_UTIL', 'DCGM_FI_PROF_GR_ENGINE_ACTIVE', 'DCGM_FI_DEV_FB_USED', 'DCGM_FI_DEV_POWER_USAGE'] as const;

/** GPUs of a page of DCGM's exporter, in its order; memory is in MiB there and here, power in W. */
export function readDcgm(page: MetricPage): readonly GpuReading[] {
  const ids = new Map<string, MetricSample>();
  for (const sample of fields.flatMap((field) => page.samples.get(field) ?? [])) {
    const id = idOf(sample);
    if (!ids.has(id)) ids.set(id, sample);
  }
  return [...ids].map(([id, { labels }]) => {
    const value = (field: string): number | null => {
      const found = page.samples.get(field)?.find((sample) => idOf(sample) === id)?.value;
      return found === undefined || !Number.isFinite(found) ? null : found;
    };
    const percent = value('DCGM_FI_DEV_GPU_UTIL');
    const [used, free] = [value('DCGM_FI_DEV_FB_USED'), value('DCGM_FI_DEV_FB_FREE')];
    const sum = used === null || free === null ? null : used + free + (value('DCGM_FI_DEV_FB_RESERVED') ?? 0);
    return {
      id,
      index: labels.gpu ?? null,
      utilization: percent === null ? value('DCGM_FI_PROF_GR_ENGINE_ACTIVE') : percent / 100,
      memoryUsedMb: used,
      memoryTotalMb: value('DCGM_FI_DEV_FB_TOTAL') ?? sum,
      powerW: value('DCGM_FI_DEV_POWER_USAGE'),
    };
  });
}

/** A slice of a GPU has the UUID of the whole and an id of its own. */
const idOf = ({ labels }: MetricSample): string => {
  const id = labels.UUID ?? labels.gpu ?? '0';
  return labels.GPU_I_ID === undefined || labels.GPU_I_ID === '' ? id : `${id}/${labels.GPU_I_ID}`;
};
