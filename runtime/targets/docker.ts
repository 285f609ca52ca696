import { z } from 'zod';
import { parseRange } from './docker/subnets.ts';
import { defineTarget } from './target.ts';

const options = z.object({
  drainMs: z.int().min(0).default(5_000).describe('How long a replica that is asked to end waits for what is in flight, in milliseconds.'),
  queueLimit: z
    .int()
    .min(1)
    .default(256)
    .describe('Requests that may wait per agent of a replica; beyond it callers are told that it is overloaded.'),
  image: z
    .string()
    .default('')
    .describe('An image with Node.js to put the bundles on. Empty: one made of the Node.js of this machine, without a registry.'),
  subnets: z
    .string()
    .refine((text) => text === '' || parseRange(text) !== null, 'Expected an IPv4 range such as 10.213.0.0/16.')
    .default('10.213.0.0/16')
    .describe(
      'Private IPv4 range that small networks are cut from, clear of what the engine and this machine use. Empty: the engine chooses, whose own pools end near 31 networks.',
    ),
  keepImages: z
    .int()
    .min(0)
    .default(16)
    .describe('Images of applications that no container is made of and that are kept for the next time; older ones are removed.'),
  region: z.string().optional().describe('Where the machine stands, to be held against `rights.regions`; nothing is moved by it.'),
});

export const dockerTarget = defineTarget({
  id: 'docker',
  title: 'Containers of a Docker engine',
  options,
  // Control groups hold both; a socket file of one container is not seen by another.
  traits: { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'image', egress: 'proxy' },
  load: async () => {
    const { createDockerTarget } = await import('./docker/create.ts');
    return { create: (given) => createDockerTarget(options.parse(given)) };
  },
});
