import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  freeSubnet,
  overlap,
  parseRange,
  parseRoutes,
  prefixFor,
  printRange,
  type Range,
} from '../../../../runtime/targets/docker/subnets.ts';

const range = (text: string): Range => parseRange(text) ?? { base: 0, prefix: 0 };

describe('subnets', () => {
  it('are read and printed, hosts’ bits dropped', () => {
    expect(printRange(range('10.213.0.9/28'))).toBe('10.213.0.0/28');
    expect(printRange(range('255.255.255.255/32'))).toBe('255.255.255.255/32');
    for (const wrong of ['10.0.0.0', '10.0.0.256/8', 'fd00::/8', '10.0.0.0/33', '']) expect(parseRange(wrong)).toBeNull();
  });

  it('have room for their members beside gateway and broadcast', () => {
    expect([1, 4, 5, 12, 13, 60].map(prefixFor)).toEqual([29, 29, 28, 28, 27, 26]);
  });

  it('lie in the range and overlap nothing in use, until the range is full', () => {
    const within = range('10.213.0.0/24');
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 26, max: 29 }), { maxLength: 20 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (prefixes, start) => {
          const used: Range[] = [range('10.213.0.64/26')];
          for (const prefix of prefixes) {
            const found = freeSubnet(within, prefix, used, start);
            if (found === null) continue;
            expect(overlap(found, within)).toBe(true);
            expect(found.base).toBeGreaterThanOrEqual(within.base);
            expect(used.some((other) => overlap(found, other))).toBe(false);
            used.push(found);
          }
        },
      ),
    );
    expect(freeSubnet(range('10.0.0.0/29'), 29, [range('10.0.0.0/8')])).toBeNull();
    expect(freeSubnet(range('10.0.0.0/29'), 28, [])).toBeNull();
  });

  it('keep clear of the routes of the machine, but not of its default route', () => {
    const table = [
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
      'eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
      'eth0\t0000D50A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    ];
    expect(parseRoutes(table.join('\n')).map(printRange)).toEqual(['10.213.0.0/16']);
  });
});
