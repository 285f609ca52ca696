import { z } from 'zod';
import { toStoredJson } from './json-value.ts';
import { defineStateStore, type StateStore } from './store.ts';

/** State in the memory of one process: the fastest, and gone with the process. */
export const memory = defineStateStore({
  id: 'memory',
  title: 'Memory of one process',
  options: z.strictObject({}),
  traits: { survivesReplica: false, survivesDeployment: false, multiProcess: false },
  load: async () => ({ open: async () => openMemoryStore() }),
});

/** Values are kept as JSON text, so that nobody holds a reference into the store. */
export function openMemoryStore(): StateStore {
  const entries = new Map<string, { readonly json: string; readonly version: number }>();
  // One counter for all keys: a key that was deleted and written again never repeats a version.
  let lastVersion = 0;
  return {
    async get(key) {
      const entry = entries.get(key);
      return entry && { value: JSON.parse(entry.json), version: entry.version };
    },
    async put(key, value, expected) {
      const json = toStoredJson(value);
      if (expected !== undefined && (entries.get(key)?.version ?? 0) !== expected) return false;
      lastVersion += 1;
      entries.set(key, { json, version: lastVersion });
      return true;
    },
    async delete(key) {
      entries.delete(key);
    },
    async close() {
      entries.clear();
    },
  };
}
