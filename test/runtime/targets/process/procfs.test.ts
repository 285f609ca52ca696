import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { nodeProblem } from '../../../../runtime/targets/process/check.ts';
import { parsePsTime, parseStat, processUsage, startToken } from '../../../../runtime/targets/process/procfs.ts';

describe('parseStat', () => {
  it('counts fields from the last parenthesis of the command', () => {
    const text = '4242 (a) b (c)) S 1 4242 4242 0 -1 4194304 900 0 0 0 150 25 7 3 20 0 7 0 987654 1 2 3';
    expect(parseStat(text)).toEqual({ state: 'S', startTime: '987654', cpuSeconds: 1.85 });
  });
});

describe('parsePsTime', () => {
  it.each([
    ['0:01.50', 1.5],
    ['00:02:03', 123],
    ['1-02:03:04', 93_784],
  ])('%s is %d seconds', (text, seconds) => expect(parsePsTime(text)).toBe(seconds));
});

describe('a process', () => {
  it('has one start token while it lives and none afterwards', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const pid = child.pid ?? 0;
    const token = startToken(pid);
    expect(token).toMatch(/\S/);
    expect(startToken(pid)).toBe(token);
    expect(processUsage(pid)).toMatchObject({ cpuSeconds: expect.any(Number), peakMemoryMb: expect.any(Number) });
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(startToken(pid)).toBe(null);
    expect(processUsage(pid)).toBe(null);
  });

  it('reports the CPU time the operating system reports', () => {
    const own = process.cpuUsage();
    const seen = processUsage(process.pid);
    expect(Math.abs((seen?.cpuSeconds ?? 0) - (own.user + own.system) / 1e6)).toBeLessThan(0.2);
    expect(seen?.peakMemoryMb).toBeGreaterThanOrEqual(process.memoryUsage.rss() / 2 ** 20 / 2);
  });
});

describe('nodeProblem', () => {
  it.each(['20.19.0', '20.20.2', '22.0.0', '100.1.2'])('%s will do', (version) => expect(nodeProblem(version)).toBe(null));
  it.each(['18.20.4', '20.18.3'])('%s is too old', (version) => expect(nodeProblem(version)?.code).toBe('DMAS_ENV_TARGET'));
});
