import { describe, expect, it } from 'vitest';
import { busyFraction, parseProcStat, readHostCpu } from '../../../profiler/load/host-cpu.ts';

describe('host CPU', () => {
  it('counts stolen time as busy and waiting for I/O as idle', () => {
    const before = parseProcStat('cpu  100 0 50 800 40 0 10 0 0 0\ncpu0 1 2 3 4\n');
    const after = parseProcStat('cpu  130 0 60 850 50 0 10 10 0 0\n');
    expect(before).toEqual({ busy: 160, total: 1000 });
    expect(busyFraction(before, after)).toBeCloseTo(50 / 110, 12);
  });

  it('is 0 when no tick passed, and refuses another file', () => {
    const now = parseProcStat('cpu 1 1 1 1 1 1 1 1');
    expect(busyFraction(now, now)).toBe(0);
    expect(() => parseProcStat('MemTotal: 1 kB')).toThrow(RangeError);
  });

  it('can be read here', () => {
    const { busy, total } = readHostCpu();
    expect(busy).toBeGreaterThan(0);
    expect(total).toBeGreaterThanOrEqual(busy);
  });
});
