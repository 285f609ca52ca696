import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { httpJson } from '../../../runtime/protocols/http-json.ts';
import { inproc } from '../../../runtime/protocols/inproc.ts';
import { priceLine } from '../../../runtime/protocols/prices/line.ts';
import { measureProtocolPrices } from '../../../runtime/protocols/prices.ts';

const sizes = [2, 32, 256, 1024];

describe('priceLine', () => {
  it('finds the line the costs lie on', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 5, noNaN: true }), fc.double({ min: 0, max: 0.5, noNaN: true }), (fixed, perKb) => {
        const { fixedMs, perKbMs } = priceLine(sizes.map((sizeKb) => ({ sizeKb, costMs: fixed + perKb * sizeKb })));
        expect(Math.abs(fixedMs - fixed)).toBeLessThan(1e-6 + fixed * 1e-4);
        expect(Math.abs(perKbMs - perKb)).toBeLessThan(1e-6 + perKb * 1e-4);
      }),
    );
  });

  it('is never negative', () => {
    const cost = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(cost, cost, cost, cost), (costs) => {
        const { fixedMs, perKbMs } = priceLine(costs.map((costMs, index) => ({ sizeKb: sizes[index] ?? 1, costMs })));
        expect(fixedMs).toBeGreaterThanOrEqual(0);
        expect(perKbMs).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('keeps the cost of small messages when the largest is off by some per cent', () => {
    const points = sizes.map((sizeKb) => ({ sizeKb, costMs: 0.1 + 0.02 * sizeKb }));
    const noisy = points.map((point, index) => (index === 3 ? { ...point, costMs: point.costMs * 1.05 } : point));
    expect(priceLine(noisy).fixedMs).toBeGreaterThan(0.08);
    expect(priceLine(noisy).fixedMs).toBeLessThan(0.12);
  });
});

describe('measureProtocolPrices', () => {
  it('prices every combination of searchable options, with both ends on this machine', async () => {
    const prices = await measureProtocolPrices([inproc, httpJson]);
    expect(prices.map(({ protocol, options }) => [protocol, options])).toEqual([
      ['inproc', '{}'],
      ['http-json', '{"transport":"tcp"}'],
      ['http-json', '{"transport":"unix"}'],
    ]);
    for (const price of prices) {
      expect(price.latencyFixedMs).toBeGreaterThanOrEqual(0);
      expect(price.latencyPerKbMs).toBeGreaterThanOrEqual(0);
      expect(price.cpuFixedMs + price.cpuPerKbMs).toBeGreaterThan(0);
    }
  });

  it('leaves out what cannot be loaded here', async () => {
    const missing = { ...httpJson, load: () => Promise.reject(new Error('no such package')) };
    expect(await measureProtocolPrices([missing])).toEqual([]);
  });

  it('leaves out options that need a package which is not installed, and hides no other failure', async () => {
    const failing = (code: string) => ({
      ...inproc,
      load: async () => ({ ...(await inproc.load()), listen: () => Promise.reject(Object.assign(new Error('no listener'), { code })) }),
    });
    expect(await measureProtocolPrices([failing('ERR_MODULE_NOT_FOUND')])).toEqual([]);
    await expect(measureProtocolPrices([failing('EADDRINUSE')])).rejects.toThrow('no listener');
  });

  it('stops when it is aborted', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 50);
    await expect(measureProtocolPrices([inproc], controller.signal)).rejects.toThrow('enough');
  });
});
