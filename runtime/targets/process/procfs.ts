import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ReplicaUsage } from '../supervise/host.ts';

/** Ticks per second of the times in /proc: USER_HZ, fixed at 100 on every architecture Node.js supports (proc(5)). */
const ticksPerSecond = 100;

/** The fields of /proc/<pid>/stat that are used here (numbering of proc(5)). */
interface ProcessStat {
  /** Field 3: R, S, D, Z (dead but not yet reaped), … */
  readonly state: string;
  /** Field 22, in ticks since boot: with the pid it names one process for ever, a pid alone may be reused. */
  readonly startTime: string;
  /** Fields 14 to 17: own user and system time, and that of children it has waited for. */
  readonly cpuSeconds: number;
}

/** Parses /proc/<pid>/stat. The command (field 2) may hold spaces and parentheses, so fields count from the last `)`. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => fields[number - 3] ?? '0';
  const ticks = [14, 15, 16, 17].reduce((sum, number) => sum + Number(field(number)), 0);
  return { state: field(3), startTime: field(22), cpuSeconds: ticks / ticksPerSecond };
}

/** Parses the `[[dd-]hh:]mm:ss[.cc]` of `ps -o time=` into seconds. */
export function parsePsTime(text: string): number {
  const [days, clock] = text.includes('-') ? (text.split('-') as [string, string]) : ['0', text];
  return Number(days) * 86_400 + clock.split(':').reduce((seconds, part) => seconds * 60 + Number(part), 0);
}

function ps(columns: string, pid: number): string | null {
  try {
    return execFileSync('ps', ['-o', columns, '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || null;
  } catch {
    return null;
  }
}

function readStat(pid: number): ProcessStat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return null;
  }
}

const hasProc = process.platform === 'linux';

/** What tells this process from a later one with the same pid; null when it does not run (a zombie does not). */
export function startToken(pid: number): string | null {
  if (hasProc) {
    const stat = readStat(pid);
    return stat && stat.state !== 'Z' && stat.state !== 'X' ? stat.startTime : null;
  }
  const line = ps('stat=,lstart=', pid);
  if (!line || line.startsWith('Z')) return null;
  return line.replace(/^\S+\s+/, '');
}

/** CPU time so far and peak resident memory; null when the process is gone. Resolution 10 ms. */
export function processUsage(pid: number): ReplicaUsage | null {
  if (!hasProc) {
    const line = ps('time=,rss=', pid);
    if (!line) return null;
    const [time = '0', rss = '0'] = line.split(/\s+/);
    return { cpuSeconds: parsePsTime(time), peakMemoryMb: Number(rss) / 1024 };
  }
  const stat = readStat(pid);
  if (!stat) return null;
  try {
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    // A process that is just ending has no memory lines any more.
    return { cpuSeconds: stat.cpuSeconds, peakMemoryMb: peak ? Number(peak[1]) / 1024 : 0 };
  } catch {
    return { cpuSeconds: stat.cpuSeconds, peakMemoryMb: 0 };
  }
}

/**
 * CPU time and resident memory of a process and all it started, whether in its group or not; null when it is gone. What
 * ended and was waited for counts with its parent. Where there is no /proc, the process alone.
 */
export function processTreeUsage(pid: number): ReplicaUsage | null {
  const own = processUsage(pid);
  if (!hasProc || !own) return own;
  const children = new Map<number, number[]>();
  const stats = new Map<number, { readonly group: number; readonly cpuSeconds: number }>();
  for (const entry of readdirSync('/proc')) {
    const id = Number(entry);
    if (!Number.isInteger(id)) continue;
    try {
      const text = readFileSync(`/proc/${id}/stat`, 'latin1');
      // Fields 4 and 5: parent and process group.
      const [, parent = '0', group = '0'] = text.slice(text.lastIndexOf(')') + 2).split(' ');
      stats.set(id, { group: Number(group), cpuSeconds: parseStat(text).cpuSeconds });
      children.set(Number(parent), [...(children.get(Number(parent)) ?? []), id]);
    } catch {
      // It went while we looked.
    }
  }
  const tree = new Set([pid]);
  for (const id of tree) for (const child of children.get(id) ?? []) tree.add(child);
  for (const [id, { group }] of stats) if (group === pid) tree.add(id);
  if (tree.size === 1) return own;
  let cpuSeconds = 0;
  let memoryMb = 0;
  for (const id of tree) {
    cpuSeconds += stats.get(id)?.cpuSeconds ?? 0;
    memoryMb += residentMb(id);
  }
  return { cpuSeconds, peakMemoryMb: Math.max(own.peakMemoryMb, memoryMb) };
}

function residentMb(pid: number): number {
  try {
    const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return found ? Number(found[1]) / 1024 : 0;
  } catch {
    return 0;
  }
}

/**
 * Processes whose environment at start held `NAME=value`: finds children that were spawned but not yet written down,
 * and grandchildren that left the process group. Linux only; empty elsewhere.
 */
export function processesWithEnvironment(name: string, value: string): number[] {
  if (!hasProc) return [];
  const wanted = `${name}=${value}`;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(wanted) && startToken(pid) !== null;
      } catch {
        return false;
      }
    });
}

/** Signals a whole process group; false when no process of it is left. */
export function signalGroup(leaderPid: number, signal: NodeJS.Signals): boolean {
  return signalProcess(-leaderPid, signal);
}

/** Signals one process; false when it is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Where a pid means something: leases from elsewhere cannot be judged. Empty parts where the system has none. */
export function pidScope(): { readonly bootId: string; readonly pidNamespace: string } {
  const attempt = (read: () => string) => {
    try {
      return read().trim();
    } catch {
      return '';
    }
  };
  return {
    bootId: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
  };
}
