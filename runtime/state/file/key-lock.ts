import { randomUUID } from 'node:crypto';
import { link, rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMissing, readFileIfAny, removeFile } from './atomic-file.ts';
import { isGone, type Owner, parseOwner, thisOwner } from './owner.ts';

/**
 * A lock from another host counts as left behind after this long without a sign of life. A writer holds a lock for a
 * few file operations only, and one that held it beyond `holdLimitMs` (it was suspended, say) gives up its write.
 */
const foreignSilenceMs = 15_000;
const holdLimitMs = 5_000;
const waitLimitMs = 30_000;
const firstPauseMs = 1;
const longestPauseMs = 20;

/**
 * Locks between processes. A lock is a hard link to this process's owner file: making it fails when it exists
 * (like O_EXCL), and it is never seen without its content, so whoever dies leaves a lock that says who it was.
 */
export class KeyLocks {
  readonly #ownerFile: string;
  readonly #owner: Owner;
  /** Writers of this process queue here, so that processes and not calls compete for the file. */
  readonly #turns = new Map<string, Promise<unknown>>();

  #closed = false;

  private constructor(ownerFile: string, owner: Owner) {
    this.#ownerFile = ownerFile;
    this.#owner = owner;
  }

  static async open(ownerFile: (token: string) => string): Promise<KeyLocks> {
    const owner = thisOwner();
    const locks = new KeyLocks(ownerFile(owner.token), owner);
    await locks.#writeOwnerFile();
    return locks;
  }

  get token(): string {
    return this.#owner.token;
  }

  /** Runs `work` while no other process or call holds the lock at `path`. `commit` must be asked right before writing. */
  async hold<T>(path: string, work: (commit: () => void) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the state store is closed');
    const before = this.#turns.get(path) ?? Promise.resolve();
    const turn = before.then(() => this.#holdFile(path, work));
    const settled = turn.catch(() => {});
    this.#turns.set(path, settled);
    settled.then(() => {
      if (this.#turns.get(path) === settled) this.#turns.delete(path);
    });
    return turn;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#turns.values());
    await removeFile(this.#ownerFile);
  }

  async #holdFile<T>(path: string, work: (commit: () => void) => Promise<T>): Promise<T> {
    await this.#acquire(path);
    const since = performance.now();
    try {
      return await work(() => {
        if (performance.now() - since > holdLimitMs) throw new Error('the state lock was held too long; nothing was written');
      });
    } finally {
      if (parseOwner((await readFileIfAny(path)) ?? '')?.token === this.#owner.token) await removeFile(path);
    }
  }

  async #acquire(path: string): Promise<void> {
    const giveUpAt = performance.now() + waitLimitMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (await this.#tryLink(path)) return;
      const holder = parseOwner((await readFileIfAny(path)) ?? '');
      if (holder !== undefined && (await isGone(holder, path, foreignSilenceMs))) {
        await this.#breakLock(path, holder);
        continue;
      }
      if (performance.now() > giveUpAt) throw new Error(`a state lock is held by process ${holder?.pid ?? '?'} for too long`);
      await sleep(pauseMs);
    }
  }

  /**
   * Removes the lock a dead owner left. Only the holder of a guard named after that owner may, so that no slow rival
   * removes the lock of the next, living owner. A guard can be left behind in the same way, and is broken in the
   * same way; its name is unique, so a late one is harmless.
   */
  async #breakLock(path: string, dead: Owner): Promise<void> {
    const guard = `${path}.${dead.token.slice(0, 8)}`;
    if (!(await this.#tryLink(guard))) {
      const holder = parseOwner((await readFileIfAny(guard)) ?? '');
      if (holder !== undefined && (await isGone(holder, guard, foreignSilenceMs))) await this.#breakLock(guard, holder);
      else await sleep(firstPauseMs);
      return;
    }
    try {
      if (parseOwner((await readFileIfAny(path)) ?? '')?.token === dead.token) await removeFile(path);
    } finally {
      await removeFile(guard);
    }
  }

  async #tryLink(path: string): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await link(this.#ownerFile, path);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
        if (!isMissing(error) || attempt > 1) throw error;
        // Another host swept our file after a long silence of this process.
        await this.#writeOwnerFile();
      }
    }
  }

  /** Renamed into place, so that a lock never shows a part of it. */
  async #writeOwnerFile(): Promise<void> {
    const temporary = `${this.#ownerFile}.${randomUUID()}.tmp`;
    await writeFile(temporary, JSON.stringify(this.#owner));
    await rename(temporary, this.#ownerFile);
  }
}
