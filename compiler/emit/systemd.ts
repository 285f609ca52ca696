import { z } from 'zod';
import { defineEmitter } from './emitter.ts';

/** Unit files for one Linux machine, each replica a service of its own. */
export const systemd = defineEmitter({
  id: 'systemd',
  title: 'systemd services on one machine',
  options: z.strictObject({
    node: z.string().startsWith('/').default('/usr/bin/node').describe('Node.js 20 or newer on that machine.'),
    folder: z.string().startsWith('/').default('/opt').describe('Where the application gets its folder.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address on which users call the application; 0.0.0.0 for all.'),
    port: z.int().min(1).max(65_535).default(8080).describe('Port under which users call the application.'),
    network: z
      .string()
      .regex(/^127\.\d{1,3}$/)
      .default('127.90')
      .describe('First two numbers of the loopback addresses its replicas get, one each.'),
    sourceFolder: z.string().default('').describe('Where commands of others lie on that machine; empty: where the scenario is now.'),
  }),
  traits: {
    formats: 'a target and a sandboxed service per replica, each with a loopback address of its own',
    // Each service is a user of its own, and these share no sockets.
    target: { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'command' },
  },
  load: async () => ({ emit: (await import('./systemd/project.ts')).emitSystemd }),
});
