import { readFileSync } from 'node:fs';
import type { ProcessUsage } from '../compiler/contracts/index.ts';

/** What a process counts of itself, for targets that cannot see it: cumulative since its start. */
export function ownUsage(): Omit<ProcessUsage, 'id' | 'replica' | 'restarts'> {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    // Kilobytes, whatever the platform (uv_getrusage).
    peakMemoryMb: process.resourceUsage().maxRSS / 1024,
    ...throttled(readText('/sys/fs/cgroup/cpu.stat')),
    ...traffic(readText('/proc/self/net/dev')),
  };
}

/** `throttled_usec` of the CPU controller (Linux, cgroup v2), which is there where a limit is. */
export function throttled(stat: string): Pick<ProcessUsage, 'throttledSeconds'> {
  const found = /^throttled_usec (\d+)$/m.exec(stat)?.[1];
  return found === undefined ? {} : { throttledSeconds: Number(found) / 1e6 };
}

/** Bytes of all interfaces but the loopback (Linux, proc(5): fields 1 and 9 after the name). A pod has its own interfaces. */
export function traffic(table: string): Pick<ProcessUsage, 'receivedBytes' | 'sentBytes'> {
  const lines = table.split('\n').flatMap((line) => {
    const [, name, counts] = /^\s*(\S+):\s*(.*)$/.exec(line) ?? [];
    return name === undefined || name === 'lo' ? [] : [(counts ?? '').trim().split(/\s+/).map(Number)];
  });
  if (lines.length === 0) return {};
  const sum = (field: number) => lines.reduce((total, counts) => total + (counts[field] ?? 0), 0);
  return { receivedBytes: sum(0), sentBytes: sum(8) };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
