import { z } from 'zod';
import { defineStateStore } from './store.ts';

/**
 * One file per key in a folder that several processes of one host (or of one shared volume) may open at once. A value
 * is whole or absent whatever dies when; see file/key-lock.ts for how processes take turns.
 */
export const file = defineStateStore({
  id: 'file',
  title: 'Files in a folder',
  options: z.strictObject({
    fsync: z.boolean().default(true).describe('Wait for the disk on every write: survives a power cut, not only the death of a process.'),
  }),
  // The folder outlives the deployment; whether it is kept is for the target to say.
  traits: { survivesReplica: true, survivesDeployment: true, multiProcess: true },
  load: async () => {
    const { openFileStore } = await import('./file/store.ts');
    return { open: (folder, options) => openFileStore(folder, options.fsync !== false) };
  },
});
