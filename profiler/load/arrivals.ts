import { deriveSeed } from '../../compiler/contracts/random.ts';
import type { LoadArrivals, LoadClass, LoadJob } from './job.ts';
import { drawTimes } from './processes.ts';

/** One request of the timetable, fixed before anything is sent, so that the layout under load cannot change it. */
export interface PlannedRequest {
  /** Index into the job's classes. */
  readonly classIndex: number;
  /** Running number within the class. */
  readonly index: number;
  readonly input: number;
  readonly session?: string;
  /** Milliseconds from the start of the block. */
  readonly intendedMs: number;
  readonly warmup: boolean;
}

/** Times in [0, horizonMs) at which requests are meant to be sent. A log plays once from its start. */
export function arrivalTimes(arrivals: LoadArrivals, horizonMs: number, seed: number): number[] {
  if (arrivals.process === 'closed' || arrivals.process === 'sessions') return [];
  if (arrivals.process === 'log') return arrivals.timesMs.filter((time) => time >= 0 && time < horizonMs).sort((a, b) => a - b);
  const times: number[] = [];
  for (const time of drawTimes(arrivals, seed)) {
    if (time >= horizonMs) break;
    times.push(time);
  }
  return times;
}

/** Which input and session request `index` of a class uses: a pure function of seed, class and index. */
export function drawRequest(seed: number, load: LoadClass, index: number): { readonly input: number; readonly session?: string } {
  // Round robin from a seeded start covers every input evenly, which a random choice would not in a short block.
  const offset = deriveSeed(seed, 'inputs', load.name) % load.inputs.length;
  const input = (offset + index) % load.inputs.length;
  if (load.sessions === undefined) return { input };
  const number = deriveSeed(seed, 'session', load.name, index) % load.sessions;
  // The seed is part of the name, so that blocks on one deployment do not meet the state of earlier ones.
  return { input, session: `${seed.toString(36)}-${load.name}-${number}` };
}

/** All open-loop requests of a job, in the order they are to be sent. */
export function timetable(job: LoadJob): PlannedRequest[] {
  const horizonMs = job.warmupMs + job.durationMs;
  const planned = job.classes.flatMap((load, classIndex) =>
    arrivalTimes(load.arrivals, horizonMs, deriveSeed(job.seed, 'arrivals', load.name)).map((intendedMs, index) => ({
      classIndex,
      index,
      ...drawRequest(job.seed, load, index),
      intendedMs,
      warmup: intendedMs < job.warmupMs,
    })),
  );
  return planned.sort((a, b) => a.intendedMs - b.intendedMs || a.classIndex - b.classIndex);
}
