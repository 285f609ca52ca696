import { defineLlmBackend } from './backend.ts';
import { replayOptions } from './server/replay-options.ts';

/** Recorded replies of a model, with waiting, quotas and prefix caches recomputed for the layout. Deployed with the plan. */
export const replay = defineLlmBackend({
  id: 'replay',
  title: 'Replay of recorded replies',
  options: replayOptions,
  traits: { deployed: true, provenance: 'replayed' },
  load: async () => (await import('./own-server.ts')).ownServer,
});
