import { createServer } from 'node:http';
import { type DrawRequest, type PlannedService, type ProcessBinding, parseCassette, tapeAddress } from '../../compiler/contracts/index.ts';
import type { Quotas } from '../llm/limiter/quota.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { startServiceProcess } from '../service-process.ts';
import { readText, sendJson } from './http.ts';
import { createTape } from './tape.ts';
import { createTapeDesk } from './tape-desk.ts';

const bodyLimitBytes = 1024 * 1024;
/** Longer than any client keeps an idle connection. */
const keepAliveMs = 120_000;

/**
 * The process that holds a deployment's tape: every model server and unit draws from it, so that counts and quotas are
 * those of the whole deployment, whatever its layout. `POST /draw` takes a `DrawRequest`. Without `binding` it is the whole
 * process (see `startServiceProcess`).
 */
export function startTapeService(service: PlannedService, cassette: string, binding?: ProcessBinding): Promise<StartedProcess> {
  const { limits, simulate } = service.options as {
    readonly limits?: { readonly [model: string]: Quotas };
    readonly simulate?: readonly string[];
  };
  const desk = createTapeDesk(createTape(parseCassette(cassette).entries), { limits: limits ?? {}, simulate: new Set(simulate ?? []) });
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[tapeAddress];
    if (!at) throw new Error(`the binding says nothing of ${tapeAddress}`);
    const server = createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
      if (request.method !== 'POST' || request.url !== '/draw') {
        request.resume();
        sendJson(response, 404, { error: `no ${request.method} ${request.url}` });
        return;
      }
      readText(request, bodyLimitBytes)
        .then((text) => desk.draw(JSON.parse(text) as DrawRequest, performance.now()))
        .then(
          (reply) => sendJson(response, 200, reply),
          (error: Error) => sendJson(response, 400, { error: error.message }),
        );
    });
    const report = { [tapeAddress]: await listenAt(server, at) };
    const close = () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    return { report, close };
  };
  return startServiceProcess({ listen, stats: () => ({ tape: desk.stats() }) }, binding);
}
