import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StateStore } from '../../runtime/state/store.ts';

export interface StoreUnderTest {
  /** A store on empty state. */
  open(): Promise<StateStore>;
  /** Another handle on the same state, or the written reason why there is none. */
  readonly reopen: (() => Promise<StateStore>) | string;
  cleanUp(): Promise<void>;
}

const oddKeys = [
  '',
  ' ',
  'a/b/../c',
  '../../etc/passwd',
  'ü😀',
  'x'.repeat(5000),
  'a\u0000b',
  '\ud800',
  '\udfff',
  'CON',
  'Key',
  'key',
  '__proto__',
];

/** What every store must do. */
export function stateStoreSuite(name: string, subject: () => Promise<StoreUnderTest>): void {
  describe(`state store ${name}`, () => {
    let under: StoreUnderTest;
    let store: StateStore;
    beforeEach(async () => {
      under = await subject();
      store = await under.open();
    });
    afterEach(async () => {
      await store.close();
      await under.cleanUp();
    });

    const versionOf = async (key: string) => (await store.get(key))?.version ?? 0;

    it('has nothing under a key that was never written', async () => {
      expect(await store.get('a')).toBeUndefined();
    });

    it('gives back what was put, with a version above 0 that changes with every put', async () => {
      expect(await store.put('a', { n: 1 })).toBe(true);
      const first = await store.get('a');
      expect(first?.value).toEqual({ n: 1 });
      expect(first?.version).toBeGreaterThan(0);
      expect(await store.put('a', { n: 1 })).toBe(true);
      expect(await versionOf('a')).not.toBe(first?.version);
    });

    it('keeps every JSON value as it is', async () => {
      await fc.assert(
        fc.asyncProperty(fc.jsonValue(), async (value) => {
          await store.put('value', value);
          // -0 has no JSON form of its own.
          expect((await store.get('value'))?.value).toEqual(JSON.parse(JSON.stringify(value)));
        }),
        { numRuns: 40 },
      );
    });

    it('keeps a value apart from the object it was put from and the one it was got as', async () => {
      const mine = { list: [1] };
      await store.put('a', mine);
      mine.list.push(2);
      const got = (await store.get('a'))?.value as { list: number[] };
      got.list.push(3);
      expect((await store.get('a'))?.value).toEqual({ list: [1] });
    });

    it('refuses what is no JSON and keeps the old value', async () => {
      await store.put('a', 1);
      await expect(store.put('a', undefined)).rejects.toThrow(/cannot be stored/);
      const circle: Record<string, unknown> = {};
      circle.self = circle;
      await expect(store.put('a', circle)).rejects.toThrow();
      expect((await store.get('a'))?.value).toBe(1);
    });

    it('writes with `expected` only when the version is that one', async () => {
      expect(await store.put('a', 'one', 0)).toBe(true);
      expect(await store.put('a', 'again', 0)).toBe(false);
      const version = await versionOf('a');
      expect(await store.put('a', 'wrong', version + 1)).toBe(false);
      expect(await store.put('a', 'two', version)).toBe(true);
      expect(await store.put('a', 'late', version)).toBe(false);
      expect((await store.get('a'))?.value).toBe('two');
    });

    it('deletes, also what is not there', async () => {
      await store.put('a', 1);
      await store.delete('a');
      await store.delete('a');
      expect(await store.get('a')).toBeUndefined();
      expect(await store.put('a', 2, 0)).toBe(true);
    });

    it('never repeats a version after a delete, so an old reader cannot overwrite the new value', async () => {
      await store.put('a', 'old');
      const old = await versionOf('a');
      await store.delete('a');
      await store.put('a', 'new', 0);
      expect(await store.put('a', 'stale', old)).toBe(false);
      expect((await store.get('a'))?.value).toBe('new');
    });

    it('keeps odd keys apart', async () => {
      for (const [index, key] of oddKeys.entries()) expect(await store.put(key, index, 0), JSON.stringify(key)).toBe(true);
      for (const [index, key] of oddKeys.entries()) expect((await store.get(key))?.value, JSON.stringify(key)).toBe(index);
    });

    it('lets exactly one of many concurrent writers of one version win', async () => {
      const won = await Promise.all(Array.from({ length: 20 }, (_, writer) => store.put('a', writer, 0)));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect((await store.get('a'))?.value).toBe(won.indexOf(true));
    });

    it('loses no update of concurrent writers', async () => {
      await Promise.all(Array.from({ length: 6 }, () => increment(store, 'n', 10)));
      expect((await store.get('n'))?.value).toBe(60);
    });

    it('keeps what was written when it is opened again', async ({ skip }) => {
      if (typeof under.reopen === 'string') return skip(under.reopen);
      await store.put('a', { kept: true });
      await store.put('b', 1);
      await store.delete('b');
      const before = await store.get('a');
      await store.close();
      store = await under.reopen();
      expect(await store.get('a')).toEqual(before);
      expect(await store.get('b')).toBeUndefined();
      expect(await store.put('a', 2, before?.version)).toBe(true);
    });
  });
}

/** Adds 1 to a number `times` times by compare-and-swap. */
export async function increment(store: StateStore, key: string, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const present = await store.get(key);
    if (await store.put(key, ((present?.value as number | undefined) ?? 0) + 1, present?.version ?? 0)) done += 1;
  }
}
