import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Replica } from './replicas.ts';

export interface Forwarded {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string | null;
}

/**
 * - `answered`: its answer, whatever it says, has gone to the client.
 * - `refused`: it certainly did not begin; nothing has gone to the client.
 * - `broken`: the connection broke after it may have begun.
 */
export type Outcome = 'answered' | 'refused' | 'broken';

/** They belong to one connection (RFC 9110, 7.6.1), or are made anew. */
const ownHeaders = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding'],
  ...['upgrade', 'host', 'content-length', 'expect'],
]);

/** Sends a request to a replica and passes the answer on byte by byte. `last`: even a refusal is the answer. */
export function forward(
  replica: Replica,
  { method, path, headers, body }: Forwarded,
  response: ServerResponse,
  last: boolean,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let controller: Dispatcher.DispatchController | undefined;
    let refusal = false;
    const gone = () => controller?.abort(new Error('the client went away'));
    const drained = () => controller?.resume();
    const end = (outcome: Outcome) => {
      response.off('close', gone);
      response.off('drain', drained);
      resolve(outcome);
    };
    response.on('close', gone);
    response.on('drain', drained);
    replica.pool.dispatch(
      { path, method: method as Dispatcher.HttpMethod, headers: passed(headers), body },
      {
        onRequestStart(present) {
          controller = present;
          if (response.destroyed) gone();
        },
        onResponseStart(_, status, answered) {
          // 503 says that it took nothing: a server that is still loading its weights, or going down.
          refusal = status === 503 && !last;
          if (!refusal) response.writeHead(status, passed(answered));
        },
        onResponseData(present, piece) {
          if (!refusal && !response.write(piece)) present.pause();
        },
        onResponseEnd() {
          if (!refusal) response.end();
          end(refusal ? 'refused' : 'answered');
        },
        onResponseError() {
          if (response.destroyed) end('answered');
          else end(controller === undefined || refusal ? 'refused' : 'broken');
        },
      },
    );
  });
}

function passed(headers: { readonly [name: string]: string | string[] | undefined }): { [name: string]: string | string[] } {
  const kept: { [name: string]: string | string[] } = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined && !ownHeaders.has(name)) kept[name] = value;
  return kept;
}
