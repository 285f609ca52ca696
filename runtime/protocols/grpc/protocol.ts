import type { Protocol } from '../protocol.ts';
import { connectGrpc } from './client.ts';
import { listenGrpc } from './server.ts';

export const grpcProtocol: Protocol = {
  bind: (options) => (options.transport === 'unix' ? 'unix' : 'tcp'),
  listen: (at, handler) => listenGrpc(at, handler),
  connect: (to) => connectGrpc(to.at),
};
