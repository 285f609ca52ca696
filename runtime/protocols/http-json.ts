import { z } from 'zod';
import { defineProtocol } from './protocol.ts';

/** JSON over HTTP/1.1 with keep-alive. Any HTTP client can call: `POST /<component>` with a JSON body. */
export const httpJson = defineProtocol({
  id: 'http-json',
  title: 'JSON over HTTP',
  options: z.strictObject({
    transport: z
      .enum(['tcp', 'unix'])
      .default('tcp')
      .describe('`unix` uses a unix domain socket, between units of one host only; `tcp` works everywhere.'),
  }),
  traits: {
    crossHost: true,
    inProcess: false,
    mediator: null,
    peer: null,
    strangerUrl: 'http://{at}/{component}',
    searchable: { transport: ['tcp', 'unix'] },
  },
  load: async () => (await import('./http-json/protocol.ts')).httpJsonProtocol,
});
