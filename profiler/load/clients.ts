import { setTimeout as sleep } from 'node:timers/promises';
import { drawRequest } from './arrivals.ts';
import { createExchange, type Exchange, requestHeaders, urlIndex } from './exchange.ts';
import { createPerson, followUp } from './humans.ts';
import type { LoadClass, LoadJob } from './job.ts';
import type { Judge, SentRequest } from './judge.ts';

/**
 * The ingress answers `deadline` itself when the time of a request is over. The client gives it this much longer, so
 * that the typed answer can arrive, and only then breaks off.
 */
const deadlineSlackMs = 250;

/** Sends requests, keeps count of those in flight, and hands every end to the judge. */
export interface Clients {
  /** Sends one now; resolves when it ended in any way, with whether an answer came. Never rejects. */
  start(request: Omit<SentRequest, 'sentMs'>): Promise<boolean>;
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>;
  /** Breaks off what is still in flight; it counts as incomplete. */
  breakOff(): Promise<void>;
  close(): Promise<void>;
}

export function createClients(job: LoadJob, judge: Judge, clock: () => number): Clients {
  const exchange: Exchange = createExchange(job, clock);
  const bodies = job.classes.map((load) => load.inputs.map((input) => Buffer.from(JSON.stringify(input))));
  const inFlight = new Map<Promise<boolean>, AbortController>();

  const run = async (request: SentRequest, load: LoadClass, firstBody: Buffer, controller: AbortController) => {
    const { signal } = controller;
    const person = createPerson(load);
    const first = requestHeaders(job, load, request.index, request.session);
    const url = urlIndex(job.urls.length, request.index, request.session);
    let expired = false;
    let next: { readonly body: Buffer; readonly headers: Record<string, string> } = { body: firstBody, headers: {} };
    try {
      for (;;) {
        // Each stretch of a request that pauses for a person has the whole time.
        const timer = setTimeout(() => {
          expired = true;
          controller.abort();
        }, load.timeoutMs + deadlineSlackMs);
        const sent = { body: next.body, url, headers: { ...first, ...next.headers }, signal };
        const reply = person.adding(await exchange.send(sent).finally(() => clearTimeout(timer)));
        const replies = reply.paused && person.repliesTo(reply.paused);
        if (reply.paused === undefined || replies === undefined) {
          judge.answered(request, clock(), reply, { took: person.took() });
          return reply.status === 200;
        }
        await person.waits(signal);
        next = followUp(reply.paused, load.inputs[request.input], replies);
      }
    } catch {
      judge.unanswered(request, clock(), expired ? 'timeout' : signal.aborted ? 'incomplete' : 'error', person.took());
      return false;
    }
  };

  return {
    start(intended) {
      const load = job.classes[intended.classIndex];
      const body = bodies[intended.classIndex]?.[intended.input];
      if (!load || !body) throw new RangeError(`class ${intended.classIndex} has no input ${intended.input}`);
      const controller = new AbortController();
      const ended: Promise<boolean> = run({ ...intended, sentMs: clock() }, load, body, controller).finally(() => inFlight.delete(ended));
      inFlight.set(ended, controller);
      return ended;
    },
    async idle() {
      while (inFlight.size > 0) await Promise.all(inFlight.keys());
    },
    async breakOff() {
      for (const controller of inFlight.values()) controller.abort();
      await Promise.all(inFlight.keys());
    },
    close: () => exchange.close(),
  };
}

/** After a failed request a closed-loop client waits this long, so that a dead ingress is not hammered. */
const backOffMs = 50;

/** A fixed number of clients, each sending again `thinkMs` after its answer. Used where autocannon cannot be. */
export async function runClosedClients(
  job: LoadJob,
  classIndex: number,
  clients: Clients,
  clock: () => number,
  signal: AbortSignal,
): Promise<void> {
  const load = job.classes[classIndex];
  if (load?.arrivals.process !== 'closed') return;
  const { clients: count, thinkMs } = load.arrivals;
  const endMs = job.warmupMs + job.durationMs;
  let index = 0;
  const client = async () => {
    while (clock() < endMs && !signal.aborted) {
      const mine = index++;
      const intendedMs = clock();
      const answered = await clients.start({
        classIndex,
        index: mine,
        ...drawRequest(job.seed, load, mine),
        intendedMs,
        warmup: intendedMs < job.warmupMs,
      });
      const pauseMs = thinkMs + (answered ? 0 : backOffMs);
      if (clock() + pauseMs >= endMs) return;
      if (pauseMs > 0) await sleep(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: count }, client));
}
