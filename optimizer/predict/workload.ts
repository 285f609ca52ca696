import type { LoadArrivals } from '../../profiler/load/job.ts';
import { offeredPerSecond, type Workload as ReadWorkload } from '../../profiler/load/workload.ts';

/** How requests of one class arrive, with everything needed to replay it: what the load driver gets, too. */
export type ClassArrivals = LoadArrivals;

/** What the application is asked to do: arrivals per request class. */
export interface Workload {
  readonly [requestClass: string]: ClassArrivals;
}

/** The workload of a scenario, its files read. Throws a RangeError when a log has too few arrivals to be played. */
export function workloadOf({ classes }: ReadWorkload): Workload {
  for (const { name, arrivals } of classes)
    if (arrivals.process === 'log' && arrivals.timesMs.length < 2) throw new RangeError(`recorded arrivals of class ${name} are missing`);
  return Object.fromEntries(classes.map(({ name, arrivals }) => [name, arrivals]));
}

/** Offered rate, in requests per second, in the long run; for a closed loop it depends on the response time (Little's law). */
export function ratePerSecond(arrivals: ClassArrivals, responseMs: number): number {
  if (arrivals.process === 'closed') return (arrivals.clients * 1000) / Math.max(1e-3, arrivals.thinkMs + responseMs);
  return offeredPerSecond(arrivals) ?? 0;
}
