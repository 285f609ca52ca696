import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** A request as it came from a container, for one of the receivers of traces. */
export interface Forwarded {
  /** `/<number of the receiver>/<rest>`. */
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
}

export interface ForwardReply {
  readonly status: number;
  readonly body: Buffer;
}

export type Forward = (request: Forwarded) => Promise<ForwardReply>;

/** What a receiver needs to know of the body. */
export const forwardedHeaders = ['content-type', 'content-encoding'] as const;
const answerTimeoutMs = 10_000;

/** The path of the how-many-eth receiver at whoever forwards. */
export const receiverPath = (index: number): string => `/${index}`;

/**
 * Sends on what units export, to receivers that units themselves cannot reach. Any failure is an answer that exporters
 * may repeat (502, see OTLP's list of retryable answers).
 *
 * @param endpoints base URLs
 */
export function forwardTo(endpoints: readonly string[]): Forward {
  return async ({ path, headers, body }) => {
    const [, index = '', rest = ''] = /^\/(\d+)(\/.*)$/.exec(path) ?? [];
    const endpoint = endpoints[Number(index)];
    if (index === '' || endpoint === undefined) return { status: 404, body: Buffer.from(`no receiver at ${path}`) };
    const url = new URL(`${endpoint.replace(/\/$/, '')}${rest}`);
    return post(url, headers, body).catch((error: Error) => ({ status: 502, body: Buffer.from(error.message) }));
  };
}

function post(url: URL, headers: Forwarded['headers'], body: Buffer): Promise<ForwardReply> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(
      url,
      { method: 'POST', timeout: answerTimeoutMs, headers: { ...headers, 'content-length': body.length } },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 502, body: Buffer.concat(parts) }));
        incoming.on('error', reject);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${url.host} within ${answerTimeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
