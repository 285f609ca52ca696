import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ModelLimits, PlannedService, ProcessBinding } from '../../../compiler/contracts/index.ts';
import type { StartedProcess } from '../../process-life.ts';
import { listenAt } from '../../protocols/wire/listen.ts';
import { startServiceProcess } from '../../service-process.ts';
import { createLimiterDesk, type LimiterDesk } from './desk.ts';
import { type FromLimiter, leaseMs, lineReader, type ToLimiter } from './lines.ts';

/**
 * The process that keeps a deployment within the limits of its models: every unit asks it before every attempt of a call.
 * Option `limits`: `ModelLimits` by logical model. `POST /session` is one unit's line to it, for as long as the unit runs
 * (see lines.ts). Without `binding` it is the whole process (see `startServiceProcess`).
 */
export function startLimiterService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const { limits } = service.options as { readonly limits?: { readonly [model: string]: ModelLimits } };
  const desk = createLimiterDesk(limits ?? {});
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    const counter = openCounter(desk);
    // A session is one request that lasts as long as its unit.
    const server = createServer({ requestTimeout: 0 }, (request, response) => {
      if (request.method === 'POST' && request.url === '/session') return counter.session(request, response);
      request.resume();
      response.writeHead(404).end();
    });
    const report = { [address]: await listenAt(server, at) };
    const close = () =>
      new Promise<void>((resolve) => {
        counter.close();
        server.close(() => resolve());
        server.closeAllConnections();
      });
    return { report, close };
  };
  return startServiceProcess({ listen, stats: () => ({ limiter: desk.stats() }) }, binding);
}

/** Longest delay a Node timer can hold. */
const longestTimerMs = 2 ** 31 - 1;

function openCounter(desk: LimiterDesk) {
  const sessions = new Map<string, (line: FromLimiter) => void>();
  let opened = 0;
  let timer: NodeJS.Timeout | undefined;

  const turn = () => {
    clearTimeout(timer);
    const nowMs = performance.now();
    for (const { holder, id } of desk.grants(nowMs)) sessions.get(holder)?.({ granted: id });
    const waitMs = desk.nextMs(nowMs) - nowMs;
    // Timers fire up to a millisecond early.
    if (Number.isFinite(waitMs)) timer = setTimeout(turn, Math.min(longestTimerMs, Math.ceil(waitMs) + 1));
  };

  function take(holder: string, line: ToLimiter, nowMs: number): void {
    if ('ask' in line) desk.ask({ holder, id: line.ask, model: line.model, tokens: line.tokens }, nowMs);
    else if ('hold' in line) desk.hold({ holder, id: line.hold, model: line.model, tokens: line.tokens }, nowMs);
    else if ('sent' in line) desk.sent(holder, line.sent, nowMs);
    else if ('leave' in line) desk.leave(holder, line.leave, nowMs, line.tokens);
  }

  return {
    session: (request: IncomingMessage, response: ServerResponse) => {
      const holder = String(opened++);
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
      sessions.set(holder, (line) => response.write(`${JSON.stringify(line)}\n`));
      const dead = setTimeout(() => request.destroy(), leaseMs);
      const end = () => {
        clearTimeout(dead);
        if (!sessions.delete(holder)) return;
        desk.drop(holder, performance.now());
        turn();
        response.end();
      };
      const read = lineReader((text) => {
        const line = JSON.parse(text) as ToLimiter;
        try {
          take(holder, line, performance.now());
        } catch (error) {
          if ('ask' in line) response.write(`${JSON.stringify({ refused: line.ask, why: (error as Error).message })}\n`);
        }
      });
      request.setEncoding('utf8').on('data', (piece: string) => {
        dead.refresh();
        try {
          read(piece);
        } catch {
          // Not one of ours: nothing it says can be trusted.
          request.destroy();
        }
        turn();
      });
      request.once('end', end).once('error', end).once('close', end);
    },
    close: () => clearTimeout(timer),
  };
}
