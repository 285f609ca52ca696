import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BindAddress, Peers, ProcessBinding } from '../../compiler/contracts/binding.ts';
import { toCallError } from '../../compiler/contracts/call-errors.ts';
import { watchNames } from '../names.ts';
import { ownUsage } from '../own-usage.ts';
import { parseJson, type RunningServer, readBody, sendError, sendJson, startServer } from './http-server.ts';

/** What a target may ask of a process. Absent ones have nothing to do. */
export interface ControlHandlers {
  /** Why it cannot serve yet; empty when it can. */
  readonly missing: () => readonly string[];
  readonly peers: (peers: Peers) => void;
  readonly sampling?: (ratio: number) => void;
  /** Of a process that stays while the plan around it changes: what the new one says of it. */
  readonly settings?: (settings: unknown) => void;
  readonly flush?: () => Promise<void>;
  readonly drain: () => Promise<boolean>;
  readonly stats: () => unknown;
}

/**
 * The control address of a process: `GET /healthz`, `/readyz`, `/stats`, `/usage`; `PUT /peers`, `/sampling`, `/settings`;
 * `POST /flush`, `/drain`. Peers that have names are looked up until it is closed.
 */
export async function startControl(binding: Pick<ProcessBinding, 'control' | 'names'>, handlers: ControlHandlers): Promise<RunningServer> {
  const server = await startControlServer(binding.control, handlers);
  if (binding.names === undefined) return server;
  const watch = watchNames({ names: binding.names, give: handlers.peers });
  const close = () => {
    watch.close();
    return server.close();
  };
  return { ...server, close };
}

function startControlServer(at: BindAddress, handlers: ControlHandlers): Promise<RunningServer> {
  const routes: { readonly [route: string]: (request: IncomingMessage, response: ServerResponse) => Promise<void> | void } = {
    'GET /healthz': (_, response) => sendJson(response, 200, { ok: true }),
    'GET /readyz': (_, response) => {
      const missing = handlers.missing();
      sendJson(response, missing.length === 0 ? 200 : 503, { ready: missing.length === 0, missing });
    },
    'GET /stats': (_, response) => sendJson(response, 200, handlers.stats()),
    'GET /usage': (_, response) => sendJson(response, 200, ownUsage()),
    'PUT /peers': async (request, response) => {
      handlers.peers(parseJson(await readBody(request)) as Peers);
      sendJson(response, 200, { missing: handlers.missing() });
    },
    'PUT /sampling': async (request, response) => {
      const { ratio } = parseJson(await readBody(request)) as { ratio?: unknown };
      if (typeof ratio !== 'number' || !(ratio >= 0 && ratio <= 1)) {
        sendError(response, { code: 'invalid', message: 'send {"ratio": number from 0 to 1}' });
        return;
      }
      // Sampling is decided at the ingress; every other process may be told and need not care.
      handlers.sampling?.(ratio);
      sendJson(response, 200, { ratio });
    },
    'PUT /settings': async (request, response) => {
      handlers.settings?.(parseJson(await readBody(request)));
      sendJson(response, 200, {});
    },
    'POST /flush': async (_, response) => {
      await handlers.flush?.();
      sendJson(response, 200, { flushed: true });
    },
    'POST /drain': async (_, response) => sendJson(response, 200, { drained: await handlers.drain() }),
  };
  return startServer(at, (request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    if (route === undefined) {
      request.resume();
      sendError(response, { code: 'unknown', message: `${request.method} ${request.url} is not known` });
      return;
    }
    Promise.resolve()
      .then(() => route(request, response))
      .catch((error) => sendError(response, toCallError(error).value));
  });
}
