import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Cumulative busy and total time of all cores, in any unit that is the same for both. */
export interface HostCpu {
  readonly busy: number;
  readonly total: number;
}

/**
 * First line of /proc/stat: `cpu user nice system idle iowait irq softirq steal guest guest_nice`. Guest time is part
 * of user time already. Waiting for I/O is idle; stolen time counts as busy, because nobody here could use it.
 * Source: https://man7.org/linux/man-pages/man5/proc_stat.5.html
 */
export function parseProcStat(text: string): HostCpu {
  const line = text.split('\n', 1)[0] ?? '';
  const [label, ...fields] = line.trim().split(/\s+/);
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields.map(Number);
  if (label !== 'cpu' || fields.length < 4 || !Number.isFinite(user)) throw new RangeError('not /proc/stat');
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}

/** Where there is no /proc/stat, the per-core times of the operating system as Node reports them. */
export function readHostCpu(): HostCpu {
  try {
    return parseProcStat(readFileSync('/proc/stat', 'utf8'));
  } catch {
    let busy = 0;
    let total = 0;
    for (const { times } of cpus()) {
      busy += times.user + times.nice + times.sys + times.irq;
      total += times.user + times.nice + times.sys + times.irq + times.idle;
    }
    return { busy, total };
  }
}

/** Busy share of all cores between two readings, 0 to 1; 0 when no tick passed. */
export function busyFraction(from: HostCpu, to: HostCpu): number {
  const total = to.total - from.total;
  return total > 0 ? Math.min(1, Math.max(0, (to.busy - from.busy) / total)) : 0;
}
