import type autocannon from 'autocannon';
import { callErrorCodes } from '../../compiler/contracts/call-errors.ts';
import { createBodyHasher } from './answers.ts';
import { drawRequest } from './arrivals.ts';
import { errorCode, pausedIn, requestHeaders } from './exchange.ts';
import type { LoadJob } from './job.ts';
import type { Judge, SentRequest } from './judge.ts';

/** How often autocannon looks whether its time is over. */
const tickMs = 20;
/** autocannon reconnects at once after a refused connection; beyond this many errors per client it gives up. */
const errorsPerClient = 50;

/**
 * Closed loop without think time through autocannon: as many requests as the clients can get answered. Nothing of its
 * own statistics is used: its histogram holds whole milliseconds, and its correction for coordinated omission assumes
 * one request per millisecond. Each request is timed here, from when it is built (autocannon writes it at once) to its
 * response. The correction is off by itself without a rate; asking for that explicitly is an error in autocannon 9.
 * Requests still open at the end are dropped, not counted: a capacity run ends, it does not fail.
 */
export async function saturate(job: LoadJob, classIndex: number, judge: Judge, clock: () => number): Promise<void> {
  const load = job.classes[classIndex];
  if (load?.arrivals.process !== 'closed') return;
  const { default: cannon } = await import('autocannon');
  const hashBody = createBodyHasher();
  const bodies = load.inputs.map((input) => Buffer.from(JSON.stringify(input)));
  const endMs = job.warmupMs + job.durationMs;
  let index = 0;

  const setupClient = (client: autocannon.Client) => {
    let open: SentRequest | undefined;
    const setupRequest = (request: autocannon.Request): autocannon.Request => {
      const now = clock();
      // Still open when the next one is built: the connection broke or autocannon's timeout passed.
      if (open) judge.unanswered(open, now, now - open.sentMs >= load.timeoutMs ? 'timeout' : 'error');
      const mine = index++;
      const drawn = drawRequest(job.seed, load, mine);
      open = { classIndex, index: mine, ...drawn, intendedMs: now, sentMs: now, warmup: now < job.warmupMs };
      return { ...request, body: bodies[drawn.input], headers: requestHeaders(job, load, mine, drawn.session) };
    };
    const onResponse = (status: number, body: string) => {
      const request = open;
      open = undefined;
      const now = clock();
      if (!request || now > endMs) return;
      const base = { status, bytesIn: Buffer.byteLength(body), firstChunkMs: null, maxGapMs: null, meanGapMs: null };
      if (status !== 200) {
        const paused = status === callErrorCodes.inputRequired.status ? pausedIn(body) : undefined;
        const failed = { ...base, answer: null, error: errorCode(body, `http-${status}`), ...(paused === undefined ? {} : { paused }) };
        return judge.answered(request, now, failed);
      }
      const answer = hashBody(Buffer.from(body));
      // autocannon decodes each piece of a body by itself, so a character split between two pieces is lost and the hash
      // of such an answer says nothing. It counts as answered; open-loop blocks check every byte.
      const damaged = body.includes('\ufffd');
      if (damaged) judge.answered(request, now, { ...base, answer: null }, { unchecked: true });
      else judge.answered(request, now, answer === null ? { ...base, answer, error: 'not-json' } : { ...base, answer });
    };
    client.setRequests([{ method: 'POST', path: new URL(job.urls[0] ?? '').pathname, setupRequest, onResponse }]);
  };

  await cannon({
    url: [...job.urls] as unknown as string, // the types know one URL only; several are spread over the connections
    connections: load.arrivals.clients,
    duration: endMs / 1000,
    timeout: Math.ceil(load.timeoutMs / 1000),
    sampleInt: tickMs,
    bailout: errorsPerClient * load.arrivals.clients,
    setupClient,
  });
}
