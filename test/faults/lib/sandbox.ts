import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JournalEntry } from '../../../compiler/contracts/index.ts';

/** A folder of its own for the runs of one test, and a way to see every process that belongs to them. */
export interface Sandbox {
  readonly folder: string;
  readonly runs: string;
  /** What the command line needs to keep its records inside the sandbox. */
  readonly environment: { readonly [name: string]: string };
  /** Folder of the only run there is; undefined before its journal exists. */
  run(): string | undefined;
  remove(): Promise<void>;
}

export function createSandbox(): Sandbox {
  const folder = mkdtempSync(join(tmpdir(), 'dmas-faults-'));
  const runs = join(folder, 'runs');
  const state = join(folder, 'state');
  const temporary = join(folder, 'tmp');
  for (const path of [state, temporary]) mkdirSync(path, { mode: 0o700 });
  return {
    folder,
    runs,
    environment: { DMAS_OPT_STATE_DIR: state, DMAS_OPT_RUNS: runs, TMPDIR: temporary },
    run: () => {
      const ids = existsSync(runs) ? readdirSync(runs).filter((id) => existsSync(join(runs, id, 'journal.ndjson'))) : [];
      return ids.length === 0 ? undefined : join(runs, ids[0] ?? '');
    },
    remove: async () => {
      for (const pid of processesOf(folder)) signal(pid, 'SIGKILL');
      await until(() => processesOf(folder).length === 0);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * Every process with the sandbox in its environment: the command line through its state folder, units and jobs through
 * the files that tell them what to be.
 */
export function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && environmentOf(pid).includes(folder) && !isZombie(pid));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return true;
  }
}

/** Inodes of TCP sockets that listen: each names one socket for ever, where a port may be used again by anybody. */
function listening(): Set<string> {
  return new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => {
      const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(1) : [];
      return lines.map((line) => line.trim().split(/\s+/)).flatMap((fields) => (fields[3] === '0A' ? [fields[9] ?? ''] : []));
    }),
  );
}

/** Sockets that processes of the sandbox listen on. */
export function socketsOf(folder: string): string[] {
  const open = listening();
  return processesOf(folder).flatMap((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        return inode !== undefined && open.has(inode) ? [inode] : [];
      });
    } catch {
      return [];
    }
  });
}

/** Which of the sockets still listen. */
export const stillListening = (sockets: readonly string[]): string[] => {
  const open = listening();
  return sockets.filter((inode) => open.has(inode));
};

export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
};

/** Waits until something holds; false when it does not within the time. */
export async function until(holds: () => boolean, withinMs = 15_000): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 50) {
    if (holds()) return true;
    await sleep(50);
  }
  return holds();
}

/** Whole lines of the journal of a run. */
export function journalLines(run: string): string[] {
  const text = readFileSync(join(run, 'journal.ndjson'), 'utf8');
  return text.split('\n').slice(0, -1);
}

export const journalOf = (run: string): JournalEntry[] => journalLines(run).map((line) => JSON.parse(line) as JournalEntry);

export const blocksOf = (run: string) => journalOf(run).flatMap((entry) => (entry.type === 'block-finished' ? [entry.block] : []));
