import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fail } from '../../compiler/contracts/index.ts';

interface Owner {
  readonly pid: number;
  /** Start time of the process as its system counts it; null where it cannot be read. Pids are used again. */
  readonly started: string | null;
}

/**
 * Takes the single-writer lock. The lock of an owner that is gone is taken over; returns the release.
 *
 * @throws DmasError DMAS_RUN_BUSY when a living process holds it
 */
export function takeLock(file: string): () => void {
  const mine = `${JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Owner)}\n`;
  const draft = `${file}.${process.pid}.${drafts++}`;
  writeFileSync(draft, mine);
  try {
    for (let attempt = 0; attempt < 5; attempt++) {
      // A link appears whole or not at all, so nobody ever reads half a lock.
      if (tryLink(draft, file)) return () => release(file, mine);
      removeIfDead(file, `${draft}.stale`);
    }
    return fail('DMAS_RUN_BUSY', `${file} is being fought over by other processes`);
  } finally {
    rmSync(draft, { force: true });
  }
}
let drafts = 0;

function removeIfDead(file: string, aside: string): void {
  const before = read(file);
  if (before === null) return;
  const owner = parse(before);
  if (owner !== null && isAlive(owner)) fail('DMAS_RUN_BUSY', `process ${owner.pid} is working on this run`);
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  // Between reading and renaming another process may have taken over: then this is its lock, and it goes back.
  if (read(aside) !== before) tryLink(aside, file);
  rmSync(aside, { force: true });
}

function release(file: string, mine: string): void {
  if (read(file) === mine) rmSync(file, { force: true });
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function parse(text: string): Owner | null {
  try {
    const value = JSON.parse(text) as Partial<Owner>;
    return typeof value.pid === 'number' ? { pid: value.pid, started: value.started ?? null } : null;
  } catch {
    return null;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const started = startOf(owner.pid);
  return owner.started === null || started === null || started === owner.started;
}

/** Field 22 of `/proc/<pid>/stat` (clock ticks since boot, see proc(5)) with the boot's id; null where there is no /proc. */
function startOf(pid: number): string | null {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is the command in parentheses and may hold spaces and parentheses itself.
  const ticks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return ticks === undefined ? null : `${read('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}/${ticks}`;
}
