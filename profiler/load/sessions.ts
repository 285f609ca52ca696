import { deriveSeed } from '../../compiler/contracts/random.ts';
import type { LoadJob, SessionArrivals, SessionScript } from './job.ts';
import { drawTimes } from './processes.ts';

/** A session that comes, or is under way when the block starts. */
export interface SessionStart {
  /** Number among all sessions of the class, from the first that could matter. */
  readonly session: number;
  readonly script: SessionScript;
  /** The turn it enters with: above 0 when it was under way before. */
  readonly firstTurn: number;
  readonly atMs: number;
  /** Running number of its first turn (turn 0) among the requests of its class, so that turn k has `firstIndex + k`. */
  readonly firstIndex: number;
}

/** Mean turns per session. */
export const meanTurns = ({ scripts }: SessionArrivals): number =>
  scripts.length === 0 ? 0 : scripts.reduce((sum, script) => sum + script.thinkMs.length, 0) / scripts.length;

/**
 * Sessions that send anything in [0, horizonMs). A block is short beside a session, so it does not begin empty: sessions
 * also come in the time before it, as long as the longest takes by its think times alone, and enter with the turn at
 * which they would be. Answers are left out of that, as they depend on the layout, and all layouts get the same sessions.
 */
export function sessionStarts(arrivals: SessionArrivals, horizonMs: number, seed: number): SessionStart[] {
  const { scripts, perSecond } = arrivals;
  const beforeMs = scripts.reduce((most, { thinkMs }) => Math.max(most, spanMs(thinkMs)), 0);
  const offset = scripts.length === 0 ? 0 : deriveSeed(seed, 'scripts') % scripts.length;
  const starts: SessionStart[] = [];
  let session = 0;
  let firstIndex = 0;
  for (const time of drawTimes({ process: 'poisson', perSecond }, deriveSeed(seed, 'starts'))) {
    const script = scripts[(offset + session) % scripts.length];
    if (script === undefined || time - beforeMs >= horizonMs) break;
    let atMs = time - beforeMs;
    let firstTurn = 0;
    while (atMs < 0 && firstTurn < script.thinkMs.length) atMs += script.thinkMs[++firstTurn] ?? Number.POSITIVE_INFINITY;
    if (firstTurn < script.thinkMs.length && atMs < horizonMs) starts.push({ session, script, firstTurn, atMs, firstIndex });
    session++;
    firstIndex += script.thinkMs.length;
  }
  return starts.sort((a, b) => a.atMs - b.atMs || a.session - b.session);
}

const spanMs = (thinkMs: readonly number[]) => thinkMs.slice(1).reduce((sum, ms) => sum + ms, 0);

/** The sessions of one class of a job. */
export function jobSessions(job: LoadJob, classIndex: number): SessionStart[] {
  const load = job.classes[classIndex];
  if (load?.arrivals.process !== 'sessions') return [];
  return sessionStarts(load.arrivals, job.warmupMs + job.durationMs, deriveSeed(job.seed, 'sessions', load.name));
}

/** Name of a live session. The seed is part of it, so that blocks on one deployment do not meet the state of earlier ones. */
export const sessionName = (seed: number, requestClass: string, session: number): string =>
  `${seed.toString(36)}-${requestClass}-${session}`;
