import { z } from 'zod';
import { defineProtocol } from './protocol.ts';

/** A function call between components of one process; bodies are handed over by reference. */
export const inproc = defineProtocol({
  id: 'inproc',
  title: 'In-process call',
  options: z.strictObject({}),
  traits: { crossHost: false, inProcess: true, mediator: null, peer: null, searchable: {} },
  load: async () => (await import('./inproc/protocol.ts')).inprocProtocol,
});
