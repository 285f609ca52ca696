import type { Protocol } from '../protocol.ts';
import { connectMcp } from './client.ts';
import { listenMcp } from './server.ts';

export const mcpProtocol: Protocol = {
  bind: () => 'tcp',
  listen: (at, handler, options, served) => listenMcp(at, handler, options, served),
  connect: (to, options) => connectMcp(to, options),
};
