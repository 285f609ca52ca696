import type { Protocol } from '../protocol.ts';
import { connectHttp } from './client.ts';
import { listenHttp } from './server.ts';

export const httpJsonProtocol: Protocol = {
  bind: (options) => (options.transport === 'unix' ? 'unix' : 'tcp'),
  listen: (at, handler) => listenHttp(at, handler),
  connect: (to) => connectHttp(to),
};
