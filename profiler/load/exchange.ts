import { Pool } from 'undici';
import { callErrorCodes, type PausedAnswer } from '../../compiler/contracts/call-errors.ts';
import { modelFaultOf } from '../../compiler/contracts/model-faults.ts';
import { fnv1a } from '../../compiler/contracts/random.ts';
import { answerHash, createBodyHasher } from './answers.ts';
import { pausedAnswer } from './humans.ts';
import { ingressHeaders, type LoadClass, type LoadJob } from './job.ts';
import { createEventReader } from './sse.ts';

/** What came back for one request, before it is judged. Times are milliseconds from the start of the block. */
export interface Reply {
  /** 0 when no answer came. */
  readonly status: number;
  readonly bytesIn: number;
  readonly firstChunkMs: number | null;
  readonly maxGapMs: number | null;
  readonly meanGapMs: number | null;
  /** Hash of the output; null when there was none. */
  readonly answer: string | null;
  /** CallErrorCode, `connection`, `not-json`, `no-output` or `http-<status>`. */
  readonly error?: string;
  /** The answer was a question to a person. */
  readonly paused?: PausedAnswer;
}

/** Headers every request of a block carries; `id` makes it findable in traces and logs. */
export function requestHeaders(job: LoadJob, load: LoadClass, index: number, session: string | undefined): Record<string, string> {
  return {
    'content-type': 'application/json',
    ...(load.stream ? { accept: 'text/event-stream' } : {}),
    [ingressHeaders.class]: load.name,
    [ingressHeaders.block]: job.blockId,
    [ingressHeaders.deadlineMs]: String(load.timeoutMs),
    [ingressHeaders.request]: `${job.blockId}.${load.name}.${index}`,
    ...(session === undefined ? {} : { [ingressHeaders.session]: session }),
  };
}

/** Requests go round robin over the ingress replicas; those of one session stay with one. */
export function urlIndex(urls: number, index: number, session: string | undefined): number {
  return (session === undefined ? index : fnv1a(session)) % urls;
}

export interface Exchange {
  send(request: {
    readonly body: Buffer;
    readonly url: number;
    readonly headers: Record<string, string>;
    readonly signal: AbortSignal;
  }): Promise<Reply>;
  close(): Promise<void>;
}

/**
 * Sends over keep-alive connections. The pool opens as many as there are requests in flight, so that an outstanding
 * answer never holds back a send. `clock` gives milliseconds from the start of the block.
 */
export function createExchange(job: LoadJob, clock: () => number): Exchange {
  const pools = job.urls.map(
    (url) => new Pool(new URL(url).origin, { connections: null, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 }),
  );
  const paths = job.urls.map((url) => new URL(url).pathname);
  const hashBody = createBodyHasher();
  return {
    async send({ body, url, headers, signal }) {
      const pool = pools[url];
      if (!pool) throw new RangeError(`there is no ingress ${url}`);
      const response = await pool.request({ path: paths[url] ?? '/', method: 'POST', headers, body, signal });
      const type = String(response.headers['content-type'] ?? '');
      if (response.statusCode === 200 && type.startsWith('text/event-stream')) return readStream(response.body, clock);
      const raw = Buffer.from(await response.body.arrayBuffer());
      const base = { status: response.statusCode, bytesIn: raw.length, firstChunkMs: null, maxGapMs: null, meanGapMs: null };
      if (response.statusCode !== 200) {
        const paused = response.statusCode === callErrorCodes.inputRequired.status ? pausedIn(raw) : undefined;
        const error = errorCode(raw, `http-${response.statusCode}`);
        return { ...base, answer: null, error, ...(paused === undefined ? {} : { paused }) };
      }
      const answer = hashBody(raw);
      // A reply that should have been streamed and came whole still answers; it just has no chunks to time.
      return answer === null ? { ...base, answer, error: 'not-json' } : { ...base, answer };
    },
    close: async () => {
      await Promise.all(pools.map((pool) => pool.destroy()));
    },
  };
}

async function readStream(body: AsyncIterable<Uint8Array>, clock: () => number): Promise<Reply> {
  let bytesIn = 0;
  let firstChunkMs: number | null = null;
  let lastChunkMs = 0;
  let maxGapMs: number | null = null;
  let gaps = 0;
  let answer: string | null = null;
  let error: string | undefined;
  let paused: PausedAnswer | undefined;
  let now = 0;
  const reader = createEventReader((data) => {
    const event = parseObject(data);
    if (event === null) {
      error ??= 'not-json';
    } else if ('chunk' in event) {
      if (firstChunkMs === null) firstChunkMs = now;
      else {
        maxGapMs = Math.max(maxGapMs ?? 0, now - lastChunkMs);
        gaps++;
      }
      lastChunkMs = now;
    } else if ('output' in event) {
      answer = answerHash(event.output);
    } else if ('error' in event) {
      error ??= codeOf(event.error) ?? 'failed';
      paused = pausedAnswer(event.error);
    }
  });
  for await (const bytes of body) {
    now = clock();
    bytesIn += bytes.length;
    reader.push(bytes);
  }
  reader.end();
  if (answer === null) error ??= 'no-output';
  const meanGapMs = gaps > 0 && firstChunkMs !== null ? (lastChunkMs - firstChunkMs) / gaps : null;
  const failed = { ...(error === undefined ? {} : { error }), ...(paused === undefined ? {} : { paused }) };
  return { status: 200, bytesIn, firstChunkMs, maxGapMs, meanGapMs, answer, ...failed };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Of a model call that failed also what happened: `failed: contextTooLong`. */
const codeOf = (value: unknown): string | undefined => {
  const { code, details } = (typeof value === 'object' && value !== null ? value : {}) as { code?: unknown; details?: unknown };
  const fault = modelFaultOf(details);
  return typeof code === 'string' ? `${code}${fault === undefined ? '' : `: ${fault.kind}`}` : undefined;
};

/** The question to a person in the body of an answer 428. */
export const pausedIn = (body: Buffer | string) => pausedAnswer(parseObject(body.toString()));

/** The CallErrorCode in an error body (see `codeOf`), or a stand-in when somebody else (a gateway) answered. */
export function errorCode(body: Buffer | string, otherwise: string): string {
  return codeOf(parseObject(body.toString())) ?? otherwise;
}
