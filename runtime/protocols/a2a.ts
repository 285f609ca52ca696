import { z } from 'zod';
import { defineProtocol } from './protocol.ts';

/** A2A 1.0 through the official SDK: every component of a unit is an agent any A2A client can find and call. */
export const a2a = defineProtocol({
  id: 'a2a',
  title: 'A2A',
  options: z.strictObject({
    binding: z
      .enum(['json-rpc', 'rest', 'grpc'])
      .default('json-rpc')
      .describe('The binding calls use. A listener serves JSON-RPC and REST in any case, and with `grpc` all three on one port.'),
    legacy: z.boolean().default(false).describe('Also speaks A2A 0.3, to clients and to agents that know nothing newer.'),
    strangerDeadlineMs: z
      .number()
      .int()
      .positive()
      .max(2_147_483_647)
      .default(60_000)
      .describe('Deadline in milliseconds of a call by an A2A client that is not part of the deployment.'),
  }),
  traits: {
    crossHost: true,
    inProcess: false,
    mediator: null,
    peer: '@a2a-js/sdk',
    strangerUrl: 'http://{at}/{component}',
    searchable: { binding: ['json-rpc', 'rest', 'grpc'] },
  },
  load: async () => (await import('./a2a/protocol.ts')).a2aProtocol,
});
