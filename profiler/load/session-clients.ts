import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clients } from './clients.ts';
import type { LoadJob } from './job.ts';
import { waitUntil } from './pace.ts';
import { jobSessions, type SessionStart, sessionName } from './sessions.ts';

/** After a failed turn a person tries the next one no sooner than this, so that a dead ingress is not hammered. */
const backOffMs = 50;

/**
 * Plays the sessions of one class. They start when they are meant to, whatever is outstanding; a turn is meant to be sent its
 * think time after the answer before, so its latency counts from there. No turn is sent after the block's end.
 */
export async function runSessions(
  job: LoadJob,
  classIndex: number,
  clients: Clients,
  clock: () => number,
  sent: (request: { readonly intendedMs: number; readonly warmup: boolean }, sentMs: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const load = job.classes[classIndex];
  if (!load) return;
  const endMs = job.warmupMs + job.durationMs;
  const aborted = AbortSignal.any([signal]);
  // Every session waits on it.
  setMaxListeners(0, aborted);
  const wait = async (untilMs: number) => {
    const leftMs = untilMs - clock();
    if (leftMs > 0) await sleep(leftMs, undefined, { signal: aborted }).catch(() => undefined);
  };
  const play = async ({ script, session, firstTurn, firstIndex, atMs }: SessionStart) => {
    const name = sessionName(job.seed, load.name, session);
    let intendedMs = atMs;
    for (let turn = firstTurn; turn < script.thinkMs.length; turn++) {
      if (intendedMs >= endMs) return;
      await wait(intendedMs);
      if (signal.aborted) return;
      const warmup = intendedMs < job.warmupMs;
      sent({ intendedMs, warmup }, clock());
      const input = script.firstInput + turn;
      const answered = await clients.start({ classIndex, index: firstIndex + turn, input, session: name, intendedMs, warmup });
      intendedMs = clock() + Math.max(answered ? 0 : backOffMs, script.thinkMs[turn + 1] ?? 0);
    }
  };
  const sessions = Promise.all(jobSessions(job, classIndex).map(play));
  // Turns still open then are the clients' to wait for or break off; nothing follows them.
  await Promise.race([sessions, waitUntil(endMs, clock, signal)]);
}
