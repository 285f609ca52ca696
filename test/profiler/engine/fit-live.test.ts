import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judgeLive } from '../../bench/lib/live-loads.ts';

const installed = existsSync(join(import.meta.dirname, '../../../node_modules/node-llama-cpp/package.json'));
const full = process.env.DMAS_OPT_FULL === '1';
const reason = full ? 'node-llama-cpp is not installed' : 'minutes of load: set DMAS_OPT_FULL=1';

/**
 * What `npm run bench:fit-live` measures, shorter. On a host that does other work too, its errors are larger than the
 * benchmark’s; a profile without batching, prefill or slots is off by several times as much.
 */
describe.skipIf(!full || !installed)(`a profile fitted live against llama.cpp${full && installed ? '' : ` (skipped: ${reason})`}`, () => {
  it('predicts loads it was not fitted on', async () => {
    const lines: string[] = [];
    const { fit, loads } = await judgeLive({
      weights: 'random-98m',
      slots: 4,
      batchTokens: 512,
      mostTokensIn: 256,
      mostTokensOut: 32,
      repeats: 1,
      capacityMs: 8_000,
      loadMs: 14_000,
      loads: [0.3, 0.6, 0.85],
      seed: 2,
      say: (line) => lines.push(line),
    });
    expect(fit.limits.maxNumSeqs, lines.join('\n')).toBe(4);
    for (const { errorsPct } of loads)
      for (const [name, value] of Object.entries(errorsPct)) expect(Math.abs(value), `${name}\n${lines.join('\n')}`).toBeLessThan(35);
  }, 180_000);
});
