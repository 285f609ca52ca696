import { z } from 'zod';
import { defineFrontend } from './frontend.ts';

/** Workflows written against our own API, in TypeScript or JavaScript. */
export const typescript = defineFrontend({
  id: 'typescript',
  title: 'dmas-opt workflow API',
  options: z.strictObject({}),
  traits: { extensions: ['.ts', '.mts', '.js', '.mjs'], peer: null },
  load: async () => (await import('./typescript/read.ts')).typescriptFrontend,
});
