import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { httpUrl, type Peers, type ProcessBinding, type ReplicaAddress } from '../../compiler/contracts/binding.ts';
import { CallError, callErrorCodeOf, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { PlannedIngress, PlannedService } from '../../compiler/contracts/plan.ts';
import { live, readBinding, type StartedProcess } from '../process-life.ts';
import { ownCancellation } from './cancellation.ts';
import { startControl } from './control.ts';
import { Flights } from './flights.ts';
import { rendezvous } from './hashing.ts';
import { readBody, sendError, startServer } from './http-server.ts';
import { ingressHeaders, neverStartedHeader, outcomeTrailer } from './ingress-headers.ts';
import { lessBusyOfTwo } from './replicas.ts';
import { type Entry, RequestTally } from './request-tally.ts';

/** One replica of the ingress unit. */
interface Backend {
  readonly address: ReplicaAddress;
  readonly pool: Pool;
  outstanding: number;
}

/** Headers that belong to one connection and are not passed on (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  'expect',
]);

/**
 * One address in front of the replicas of the ingress unit: the less busy of two takes a request; where agents keep state,
 * a session stays with its replica; and a request that no replica began goes to another one. Replies are streamed through as they come.
 *
 * It adds no span: the trace begins at the ingress of the unit, as it does without a gateway.
 *
 * It outlives the plan it was started for: connections of users stay open while the replicas behind it are exchanged, and
 * what another plan says of it comes as `PUT /settings` (`GatewaySettings`).
 */
export async function startGateway(service: PlannedService, ingress: PlannedIngress, binding?: ProcessBinding): Promise<StartedProcess> {
  const present = binding ?? readBinding();
  const address = `service://${service.id}`;
  const flights = new Flights();
  const tally = new RequestTally();
  let backends: Backend[] = [];
  let requests = 0;
  let settings: GatewaySettings = { balancing: service.options.balancing, ingress };
  const peers = (update: Peers) => {
    const replicas = update.ingress?.filter(({ retiring }) => retiring !== true);
    if (replicas !== undefined) backends = refreshed(backends, replicas);
  };
  peers(present.peers);

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const id = String(++requests);
    const refused = flights.draining;
    const counted = tally.begin(request);
    let failure: CallError | undefined;
    const own = ownCancellation(settings.ingress.deadlineMs + graceMs);
    response.on('close', () => {
      if (!response.writableFinished) own.abort(new CallError({ code: 'cancelled', message: 'the client went away' }));
    });
    flights.begin(id);
    try {
      if (refused) throw new CallError({ code: 'unavailable', message: 'the gateway is shutting down', neverStarted: true });
      const body = await readBody(request);
      const key = isSticky(settings) ? stickyKey(request) : undefined;
      await forward({ request, response, body, counted }, () => backends, key, own.cancellation.signal);
    } catch (thrown) {
      if (!request.complete) request.resume();
      const { reason } = own.cancellation.signal;
      failure = toCallError(reason instanceof CallError ? reason : thrown);
      if (response.headersSent) response.destroy();
      else sendError(response, failure.value);
    } finally {
      own.close();
      counted.end(failure?.code);
      flights.end(id);
    }
  };

  const at = present.listen[address];
  if (at === undefined) throw new RangeError(`the binding of ${present.id} says no place for ${address}`);
  const door = await startServer(at, (request, response) => void serve(request, response));
  const drain = () => {
    flights.draining = true;
    return flights.idle(present.drainMs);
  };
  const control = await startControl(present, {
    missing: () => (backends.length === 0 ? ['ingress'] : []),
    peers,
    settings: (next) => {
      settings = next as GatewaySettings;
    },
    drain,
    stats: () => ({
      service: service.id,
      instanceId: present.instanceId,
      inFlight: flights.size,
      requests,
      tally: tally.snapshot(),
      oldestMs: tally.oldestMs(),
      replicas: backends.map(({ address: { replica, instanceId }, outstanding }) => ({ replica, instanceId, outstanding })),
    }),
  });
  const close = async () => {
    door.stopAccepting();
    await drain();
    await Promise.all([door.close(), control.close()]);
    await Promise.all(backends.map(({ pool }) => pool.destroy()));
  };
  const started = { report: { control: control.at, listen: { [address]: door.at }, pid: process.pid }, close };
  if (binding === undefined) live(started, present.drainMs);
  return started;
}

/** All that a gateway is told by its plan. */
export interface GatewaySettings {
  /** `session`: a session stays with its replica. */
  readonly balancing: unknown;
  readonly ingress: PlannedIngress;
}

/** A conversation is one replica's: other units find it there by the same choice (replicas.ts). */
const isSticky = ({ balancing, ingress }: GatewaySettings) => balancing === 'session' || ingress.entry.kind === 'topic';

/** One request of a user, and where it is counted. */
interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly counted: Entry;
}

/** The unit enforces the deadline; this only ends what a lost unit left open. */
const graceMs = 1_000;

function refreshed(before: readonly Backend[], addresses: readonly ReplicaAddress[]): Backend[] {
  const known = new Map(before.map((backend) => [`${backend.address.instanceId} ${JSON.stringify(backend.address.at)}`, backend]));
  const backends = addresses.map((address): Backend => {
    const key = `${address.instanceId} ${JSON.stringify(address.at)}`;
    const present = known.get(key);
    known.delete(key);
    return present ?? { address, pool: poolOf(address), outstanding: 0 };
  });
  // Closing waits for what is under way.
  for (const gone of known.values()) void gone.pool.close().catch(() => {});
  return backends;
}

function poolOf({ at }: ReplicaAddress): Pool {
  const tcp = 'port' in at;
  const timeouts = { headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000, keepAliveMaxTimeout: 30_000 };
  return new Pool(tcp ? httpUrl(at) : 'http://localhost', { connections: null, ...timeouts, ...(tcp ? {} : { socketPath: at.path }) });
}

/** @throws CallError `unavailable` when no replica could be reached, or the connection broke before an answer. */
async function forward(asked: Asked, backends: () => readonly Backend[], key: string | undefined, signal: AbortSignal): Promise<void> {
  const tried = new Set<Backend>();
  for (;;) {
    const candidates = backends().filter((backend) => !tried.has(backend));
    const backend = key === undefined ? lessBusyOfTwo(candidates) : rendezvous(key, candidates, ({ address }) => address.replica);
    if (backend === undefined) {
      throw new CallError({ code: 'unavailable', message: 'no replica of the ingress can be reached', neverStarted: true });
    }
    tried.add(backend);
    backend.outstanding++;
    try {
      const last = candidates.length === 1;
      const outcome = await exchange(backend, asked, last, signal);
      if (outcome === 'answered') return;
    } finally {
      backend.outstanding--;
    }
  }
}

/** `refused`: the replica certainly did not begin the request, so another may. The last one's refusal is the answer. */
function exchange(backend: Backend, asked: Asked, last: boolean, signal: AbortSignal): Promise<'answered' | 'refused'> {
  const { request, response, body, counted } = asked;
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let refusal = false;
    let code: string | undefined;
    let streams = false;
    const abort = () => controller?.abort(new Error('aborted'));
    const drained = () => controller?.resume();
    const over = () => {
      signal.removeEventListener('abort', abort);
      response.off('drain', drained);
    };
    signal.addEventListener('abort', abort);
    response.on('drain', drained);
    backend.pool.dispatch(
      { path: request.url ?? '/', method: (request.method ?? 'POST') as Dispatcher.HttpMethod, headers: passed(request.headers), body },
      {
        onRequestStart(present) {
          controller = present;
          if (signal.aborted) abort();
        },
        onResponseStart(_, status, headers) {
          if (!last && headers[neverStartedHeader] !== undefined) {
            over();
            refusal = true;
            resolve('refused');
          } else {
            code = callErrorCodeOf(status);
            streams = String(headers['content-type']).startsWith('text/event-stream');
            response.writeHead(status, passed(headers));
          }
        },
        onResponseData(present, piece) {
          if (refusal) return;
          if (streams) counted.chunk();
          if (!response.write(piece)) present.pause();
        },
        onResponseEnd(_, trailers) {
          if (refusal) return;
          over();
          const outcome = trailers?.[outcomeTrailer];
          if (typeof outcome === 'string') {
            code = outcome;
            response.addTrailers({ [outcomeTrailer]: outcome });
          }
          response.end();
          counted.end(code);
          resolve('answered');
        },
        onResponseError(_, error) {
          over();
          if (controller === undefined && !signal.aborted) resolve('refused');
          else reject(new CallError({ code: 'unavailable', message: `the replica broke off: ${error.message}` }, { cause: error }));
        },
      },
    );
  });
}

/** The session, else the request's own id: the ingress takes it for the session then, so it is given one here. */
function stickyKey({ headers }: IncomingMessage): string {
  const session = headers[ingressHeaders.session];
  if (typeof session === 'string') return session;
  const known = headers[ingressHeaders.request];
  const id = typeof known === 'string' ? known : randomUUID();
  headers[ingressHeaders.request] = id;
  return id;
}

function passed(headers: { readonly [name: string]: string | string[] | undefined }): { [name: string]: string | string[] } {
  const result: { [name: string]: string | string[] } = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !hopByHop.has(name)) result[name] = value;
  }
  return result;
}
