import { z } from 'zod';
import { defineEmitter, walledTraits } from './emitter.ts';

/** A project for `docker compose up`, with a build context per image. */
export const compose = defineEmitter({
  id: 'compose',
  title: 'Docker Compose project',
  options: z.strictObject({
    port: z.int().min(1).max(65_535).default(8080).describe('Port under which users call the application, where PORT is not set.'),
    nodeImage: z.string().min(1).default('node:20-slim').describe('Image with Node.js 20 or newer, where NODE_IMAGE is not set.'),
    nginxImage: z
      .string()
      .min(1)
      .default('nginxinc/nginx-unprivileged:stable-alpine')
      .describe('Image with nginx, where a program of others calls something with several replicas and NGINX_IMAGE is not set.'),
  }),
  traits: { formats: 'compose.yaml with a build context per image; nginx where a client cannot balance', target: walledTraits },
  load: async () => ({ emit: (await import('./compose/project.ts')).emitCompose }),
});
