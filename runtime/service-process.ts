import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { BindAddress, LogicalAddress, Peers, ProcessBinding, StartedReport } from '../compiler/contracts/index.ts';
import { watchNames } from './names.ts';
import { ownUsage } from './own-usage.ts';
import { live, readBinding, type StartedProcess } from './process-life.ts';
import { listenAt } from './protocols/wire/listen.ts';

export interface ServiceProcessOptions {
  /** Starts what the service is for; called once, before the process says that it started. */
  readonly listen: (binding: ProcessBinding) => Promise<RunningService>;
  /** Called for each `PUT /peers`. A service that calls nobody leaves it out. */
  readonly peers?: (peers: Peers) => void;
  /** What `GET /stats` answers; without it the question is not known. */
  readonly stats?: () => unknown;
  /** Why it cannot serve yet; empty when it can. Default: it always can. */
  readonly missing?: () => readonly string[];
}

export interface RunningService {
  readonly report: { readonly [address: LogicalAddress]: BindAddress };
  close(): Promise<void>;
}

const controlBodyLimitBytes = 1024 * 1024;

/**
 * The life of a service process: binding in, control server (`GET /healthz`, `GET /readyz`, `GET /usage`, `PUT /peers`,
 * `PUT /sampling`, `POST /flush`, where it has them `GET /stats`), the started line out, SIGTERM to exit 0.
 *
 * Without `binding` this *is* the process: the binding comes from the file named by `DMAS_BINDING`, and the process lives
 * as `live` says. With one the caller owns the process and gets a
 * handle only.
 */
export async function startServiceProcess(options: ServiceProcessOptions, binding?: ProcessBinding): Promise<StartedProcess> {
  const bound = binding ?? readBinding();
  const state = { ready: false };
  const control = createServer((request, response) => answerControl(options, state, request, response));
  const controlAt = await listenAt(control, bound.control);
  let service: RunningService;
  try {
    service = await options.listen(bound);
  } catch (error) {
    await closeServer(control);
    throw error;
  }
  state.ready = true;
  const watch = bound.names && options.peers && watchNames({ names: bound.names, give: options.peers });
  let closing: Promise<void> | undefined;
  const close = () => {
    state.ready = false;
    watch?.close();
    closing ??= service.close().finally(() => closeServer(control));
    return closing;
  };
  const report: StartedReport = { control: controlAt, listen: service.report, pid: process.pid };
  const started: StartedProcess = { report, close };
  if (binding === undefined) live(started, bound.drainMs);
  return started;
}

function answerControl(
  options: ServiceProcessOptions,
  state: { readonly ready: boolean },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const route = `${request.method} ${request.url}`;
  const reply = (status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (route === 'PUT /peers' && options.peers !== undefined) {
    const take = options.peers;
    readJson(request)
      .then((peers) => take(peers as Peers))
      .then(
        () => reply(200, {}),
        (error: Error) => reply(400, { error: error.message }),
      );
    return;
  }
  request.resume();
  if (route === 'GET /readyz') {
    const missing = options.missing?.() ?? [];
    const ready = state.ready && missing.length === 0;
    reply(ready ? 200 : 503, { ready, ...(missing.length > 0 ? { missing } : {}) });
  } else if (route === 'GET /usage') reply(200, ownUsage());
  else if (route === 'GET /stats' && options.stats !== undefined) reply(200, options.stats());
  else if (['GET /healthz', 'PUT /peers', 'PUT /sampling', 'POST /flush'].includes(route)) reply(200, {});
  else reply(404, { error: `no ${route}` });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    sizeBytes += piece.length;
    if (sizeBytes > controlBodyLimitBytes) throw new RangeError('the body is too large');
    pieces.push(piece);
  }
  return JSON.parse(Buffer.concat(pieces).toString('utf8'));
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
