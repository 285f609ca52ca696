import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BindAddress } from '../../../compiler/contracts/index.ts';

const answerTimeoutMs = 10_000;
const firstPollMs = 10;
const longestPollMs = 200;

interface ControlReply {
  readonly status: number;
  readonly body: string;
}

/** One request to the control server of a replica. Rejects when there is no answer; any status is an answer. */
function askControl(
  at: BindAddress,
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const where = 'path' in at ? { socketPath: at.path } : { host: at.host, port: at.port };
    const payload = body === undefined ? '' : JSON.stringify(body);
    const outgoing = request(
      {
        ...where,
        method,
        path,
        // A connection per request: control traffic is rare and must not keep a draining replica open.
        agent: false,
        timeout: answerTimeoutMs,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload), connection: 'close' },
        ...(signal ? { signal } : {}),
      },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
        });
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: text }));
        incoming.on('error', reject);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${method} ${path} within ${answerTimeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

/** As `askControl`, but an answer other than 2xx rejects. */
export async function tellControl(
  at: BindAddress,
  method: 'PUT' | 'POST',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<void> {
  const reply = await askControl(at, method, path, body, signal);
  if (reply.status < 200 || reply.status > 299) throw new Error(`${method} ${path} answered ${reply.status} ${reply.body.slice(0, 200)}`);
}

/** What a replica says of itself; null when it does not answer the question. */
export async function readStats(at: BindAddress): Promise<unknown> {
  const reply = await askControl(at, 'GET', '/stats').catch(() => null);
  try {
    return reply?.status === 200 ? JSON.parse(reply.body) : null;
  } catch {
    return null;
  }
}

/** Asks until the replica says it is ready; rejects when `signal` aborts. */
export async function waitReady(at: BindAddress, signal: AbortSignal): Promise<void> {
  for (let waitMs = firstPollMs; ; waitMs = Math.min(waitMs * 1.5, longestPollMs)) {
    signal.throwIfAborted();
    const reply = await askControl(at, 'GET', '/readyz', undefined, signal).catch(() => null);
    if (reply?.status === 200) return;
    await sleep(waitMs, undefined, { signal });
  }
}
