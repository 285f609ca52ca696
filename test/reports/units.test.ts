import { describe, expect, it } from 'vitest';
import type { Block } from '../../compiler/contracts/index.ts';
import { usageBetween } from '../../profiler/block.ts';
import { unitUsage } from '../../reports/build-units.ts';
import { htmlView } from '../../reports/views/html.ts';
import { markdownView } from '../../reports/views/markdown.ts';
import { sampleReport } from './sample-report.ts';

const replica = (id: string, number: number, counters: object) => ({
  id,
  replica: number,
  cpuSeconds: 1,
  peakMemoryMb: 50,
  restarts: 0,
  ...counters,
});
const block = (usage: Block['usage']) =>
  ({ warmupMs: 2_000, durationMs: 8_000, classes: { trip: { requests: 80 } }, usage }) as unknown as Block;

describe('limits and traffic of units', () => {
  it('are shares of the time of every replica, and bytes per request with the warm-up’s counted', () => {
    const usage = [
      replica('a', 0, { throttledSeconds: 3, receivedBytes: 10_000, sentBytes: 20_000 }),
      replica('a', 1, { throttledSeconds: 1, receivedBytes: 0, sentBytes: 0 }),
    ];
    // 80 measured in 8 s are 100 in all 10 s.
    expect(unitUsage([block(usage)])).toEqual([{ id: 'a', throttledShare: 0.2, receivedBytesPerRequest: 100, sentBytesPerRequest: 200 }]);
    expect(unitUsage([block(usage), block(usage)])).toEqual(unitUsage([block(usage)]));
  });

  it('are absent where nobody counts', () => {
    expect(unitUsage([block([replica('a', 0, {})])])).toBeUndefined();
    expect(unitUsage([])).toBeUndefined();
  });

  it('of a block are what came between its ends; a restarted counter begins at zero', () => {
    const before = [replica('a', 0, { throttledSeconds: 5, receivedBytes: 100 }), replica('b', 0, { throttledSeconds: 9 })];
    const after = [
      replica('a', 0, { throttledSeconds: 6.5, receivedBytes: 140 }),
      replica('b', 0, { throttledSeconds: 2 }),
      replica('c', 0, {}),
    ];
    const [a, b, c] = usageBetween(before, after, 1);
    expect(a).toMatchObject({ throttledSeconds: 1.5, receivedBytes: 40 });
    expect(b).toMatchObject({ throttledSeconds: 2 });
    expect(c).not.toHaveProperty('throttledSeconds');
    expect(a).not.toHaveProperty('sentBytes');
  });

  it('stand in the report where there are any, of every layout in the page and of the chosen one in the summary', async () => {
    const units = [{ id: 'travel', throttledShare: 0.25, receivedBytesPerRequest: 2_048, sentBytesPerRequest: 100 }];
    const sentence = 'travel: held by its CPU limit 25 % of the time, received 2.0 KB and sent 100 B per request';
    const trials = sampleReport.trials.map((trial) => ({ ...trial, units }));
    for (const view of [await htmlView.load(), await markdownView.load()]) {
      const render = (report: typeof sampleReport) => view.render(report)[0]?.content ?? '';
      expect(render({ ...sampleReport, trials })).toContain(sentence);
      expect(render(sampleReport)).not.toMatch(/CPU limit|undefined/);
    }
  });
});
