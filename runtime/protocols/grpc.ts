import { z } from 'zod';
import { defineProtocol } from './protocol.ts';

/** gRPC over HTTP/2 with JSON inside: `/dmas.Component/Call` and the server-streaming `/dmas.Component/Stream`. */
export const grpc = defineProtocol({
  id: 'grpc',
  title: 'gRPC',
  options: z.strictObject({
    transport: z
      .enum(['tcp', 'unix'])
      .default('tcp')
      .describe('`unix` uses a unix domain socket, between units of one host only; `tcp` works everywhere.'),
  }),
  traits: { crossHost: true, inProcess: false, mediator: null, peer: '@grpc/grpc-js', searchable: { transport: ['tcp', 'unix'] } },
  load: async () => (await import('./grpc/protocol.ts')).grpcProtocol,
});
