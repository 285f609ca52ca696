import { z } from 'zod';
import { defineTarget } from './target.ts';

const options = z.object({
  drainMs: z.int().min(0).default(5_000).describe('How long a replica that is asked to end waits for what is in flight, in milliseconds.'),
  queueLimit: z
    .int()
    .min(1)
    .default(256)
    .describe('Requests that may wait per agent of a replica; beyond it callers are told that it is overloaded.'),
  region: z.string().optional().describe('Where the machine stands, to be held against `rights.regions`; nothing is moved by it.'),
});

export const processTarget = defineTarget({
  id: 'process',
  title: 'Processes of this machine',
  options,
  // Neither share of a core nor memory of a process can be limited without rights over control groups:
  // Node's own heap limit does not count buffers, code and stacks.
  traits: { enforces: { vcpu: false, memory: false }, unixSockets: true, programs: 'command', egress: 'none' },
  load: async () => {
    const { createProcessTarget } = await import('./process/create.ts');
    return { create: (given) => createProcessTarget(options.parse(given)) };
  },
});
