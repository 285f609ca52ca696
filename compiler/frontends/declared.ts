import { z } from 'zod';
import { defineFrontend } from './frontend.ts';

/** A YAML file that lists agents and tool servers other people built: who is called by whom, and no code. */
export const declared = defineFrontend({
  id: 'declared',
  title: 'YAML file that describes agents running elsewhere',
  options: z.strictObject({}),
  traits: { extensions: ['.yaml', '.yml'], peer: null },
  load: async () => (await import('./declared/read.ts')).declaredFrontend,
});
