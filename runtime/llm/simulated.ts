import { defineLlmBackend } from './backend.ts';
import { simulatedOptions } from './server/options.ts';

/** A model that costs nothing: scripted or generated replies, timed by a batch-serving engine. Deployed with the plan. */
export const simulated = defineLlmBackend({
  id: 'simulated',
  title: 'Simulated model',
  options: simulatedOptions,
  traits: { deployed: true, provenance: 'simulated', wholePool: true, metrics: 'simulated' },
  load: async () => (await import('./own-server.ts')).ownServer,
});
