import { createServer, type Server, type Socket } from 'node:net';
import type { BindAddress } from '../../../compiler/contracts/index.ts';
import type { CallHandler, Listener, ServedComponent } from '../protocol.ts';
import { InFlight } from '../wire/incoming.ts';
import { listenAt } from '../wire/listen.ts';
import type { Binding } from './card.ts';
import type { GrpcAgents } from './grpc-server.ts';
import { createHttpServer, type HttpAgents } from './http-server.ts';
import type { LegacyBinding } from './legacy-server.ts';
import { Agents } from './serving.ts';

export interface A2aOptions {
  readonly binding: Binding;
  readonly legacy: boolean;
  readonly strangerDeadlineMs: number;
}

/** JSON-RPC and REST on one HTTP server; with the gRPC binding the same port takes gRPC too, so that a card is always to be had. */
export async function listenA2a(
  at: BindAddress,
  handler: CallHandler,
  { binding, legacy, strangerDeadlineMs }: A2aOptions,
  served: (() => readonly ServedComponent[]) | undefined,
): Promise<Listener> {
  const inFlight = new InFlight();
  const others = (['json-rpc', 'rest'] as const).filter((other) => other !== binding);
  const agents = new Agents({ handler, inFlight }, served, { bindings: [binding, ...others], legacy }, strangerDeadlineMs);
  const http = createHttpServer({ agents, inFlight, legacy: legacy ? await legacyBindingOf(agents) : undefined } satisfies HttpAgents);
  if (binding !== 'grpc') {
    const listening = await listenAt(http, at);
    return { at: listening, close: (drainMs) => closeHttp(http, inFlight, drainMs) };
  }
  const { grpcAgents } = await import('./grpc-server.ts');
  const grpc = await grpcAgents(agents, legacy);
  // Node tracks the connections of an HTTP server only when it listens itself, and one that never spoke belongs to nobody.
  const sockets = new Set<Socket>();
  // Both kinds of server set this for sockets they accept themselves.
  const door = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    sort(socket, http, grpc);
  });
  const listening = await listenAt(door, at);
  return {
    at: listening,
    async close(drainMs) {
      const quiet = await inFlight.drain(drainMs);
      const closed = new Promise<void>((resolve) => door.close(() => resolve()));
      await grpc.close(!quiet);
      setImmediate(() => {
        for (const socket of sockets) socket.destroy();
      });
      await closed;
    },
  };
}

async function legacyBindingOf(agents: Agents): Promise<LegacyBinding> {
  return (await import('./legacy-server.ts')).legacyBinding(agents);
}

async function closeHttp(http: import('node:http').Server, inFlight: InFlight, drainMs: number): Promise<void> {
  await inFlight.drain(drainMs);
  const closed = new Promise<void>((resolve) => http.close(() => resolve()));
  // One turn of the loop lets answers written in this one reach their sockets.
  setImmediate(() => http.closeAllConnections());
  await closed;
}

/** An HTTP/2 client, which is what gRPC is, starts with these bytes (RFC 9113, 3.4); HTTP/1 has no method `PRI`. */
const http2Preface = Buffer.from('PRI');

function sort(socket: Socket, http: Server, grpc: GrpcAgents): void {
  let seen = Buffer.alloc(0);
  const fail = () => socket.destroy();
  const look = () => {
    const piece: Buffer | null = socket.read();
    if (piece !== null) seen = Buffer.concat([seen, piece]);
    // Put back only once it is decided: what is put back is readable at once.
    const start = seen.subarray(0, http2Preface.length);
    if (start.length < http2Preface.length && http2Preface.subarray(0, start.length).equals(start)) return;
    socket.off('readable', look);
    socket.off('error', fail);
    socket.off('end', fail);
    socket.unshift(seen);
    if (start.equals(http2Preface)) grpc.take(socket);
    else http.emit('connection', socket);
  };
  socket.on('error', fail);
  socket.on('end', fail);
  socket.on('readable', look);
}
