import type { ScenarioConfig } from '../../scenarios/schema.ts';

/** How requests of one class arrive, with everything needed to replay it. */
export type ClassArrivals =
  | { readonly process: 'poisson' | 'constant'; readonly perSecond: number }
  | { readonly process: 'closed'; readonly clients: number; readonly thinkMs: number }
  /** Recorded times from the start of the log, ascending; played in a loop. */
  | { readonly process: 'log'; readonly timesMs: readonly number[]; readonly rateScale: number };

/** What the application is asked to do: arrivals per request class. */
export interface Workload {
  readonly [requestClass: string]: ClassArrivals;
}

/** The workload of a scenario. Recorded arrivals are read by the caller and handed in, in ms, by request class. */
export function workloadOf(
  workload: Pick<ScenarioConfig['workload'], 'classes'>,
  recordedMs: { readonly [requestClass: string]: readonly number[] } = {},
): Workload {
  return Object.fromEntries(
    Object.entries(workload.classes).map(([name, { arrivals }]) => {
      if (arrivals.process === 'closed') return [name, { process: 'closed', clients: arrivals.clients, thinkMs: arrivals.think }];
      if (arrivals.process !== 'log') return [name, arrivals];
      const timesMs = recordedMs[name];
      if (!timesMs || timesMs.length < 2) throw new RangeError(`recorded arrivals of class ${name} are missing`);
      return [name, { process: 'log', timesMs, rateScale: arrivals.rateScale }];
    }),
  );
}

/** Offered rate, in requests per second; for a closed loop it depends on the response time (Little's law). */
export function ratePerSecond(arrivals: ClassArrivals, responseMs: number): number {
  if (arrivals.process === 'closed') return (arrivals.clients * 1000) / Math.max(1e-3, arrivals.thinkMs + responseMs);
  if (arrivals.process !== 'log') return arrivals.perSecond;
  const first = arrivals.timesMs[0] ?? 0;
  const last = arrivals.timesMs[arrivals.timesMs.length - 1] ?? 0;
  return last > first ? (((arrivals.timesMs.length - 1) * 1000) / (last - first)) * arrivals.rateScale : 0;
}
