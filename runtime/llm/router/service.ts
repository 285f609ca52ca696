import type { ServerResponse } from 'node:http';
import type { Peers, PlannedService, ProcessBinding } from '../../../compiler/contracts/index.ts';
import { createDrainingServer } from '../../draining-server.ts';
import type { StartedProcess } from '../../process-life.ts';
import { listenAt } from '../../protocols/wire/listen.ts';
import { startServiceProcess } from '../../service-process.ts';
import { type Router, routers } from '../engine/step-time.ts';
import { ApiError } from '../server/chat-request.ts';
import { proxy } from './proxy.ts';
import { Replicas } from './replicas.ts';

/**
 * The process in front of several replicas of a model server: one address, requests spread by `router`, replies passed
 * through untouched. Options: `upstream` (`service://…`) and `router` (see `createRouter`; default least-outstanding). Without
 * `binding` it is the whole process (see `startServiceProcess`).
 */
export function startRouterService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const { upstream } = service.options as { readonly upstream: string };
  const kind = routerOf(service.options.router);
  const replicas = new Replicas(kind);
  const learn = (peers: Peers) => {
    const known = peers[upstream];
    if (known !== undefined) replicas.update(known);
  };
  let requests = 0;
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    learn(bound.peers);
    const { server, drain } = createDrainingServer(
      (request, response) => {
        requests++;
        proxy(replicas, kind === 'prefix-affinity', request, response).catch((error: unknown) => sendError(response, error));
      },
      { requestTimeout: 0 },
    );
    const report = { [address]: await listenAt(server, at) };
    const close = async () => {
      await drain(bound.drainMs);
      await replicas.close();
    };
    return { report, close };
  };
  return startServiceProcess(
    {
      listen,
      peers: learn,
      missing: () => (replicas.all.length === 0 ? [upstream] : []),
      stats: () => ({
        requests,
        replicas: replicas.all.map((one) => ({ replica: one.address.replica, up: one.up, outstanding: replicas.outstanding(one) })),
      }),
    },
    binding,
  );
}

function routerOf(value: unknown): Router {
  const known = routers.find((one) => one === (value ?? 'least-outstanding'));
  if (known === undefined) throw new RangeError(`there is no router ${String(value)}; there are ${routers.join(', ')}`);
  return known;
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const known = error instanceof ApiError ? error : new ApiError(error instanceof RangeError ? 413 : 500, null, String(error));
  const text = JSON.stringify(known.body());
  response.writeHead(known.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(known.status === 503 ? { 'retry-after': '1' } : {}),
    ...(known.status === 413 ? { connection: 'close' } : {}),
  });
  response.end(text);
}
