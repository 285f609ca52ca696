import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lineSplitter, ReplicaLog, redactor } from '../../../../runtime/targets/supervise/log.ts';
import { restartPolicy } from '../../../../runtime/targets/supervise/restart-policy.ts';
import { temporaryFolder } from '../fixtures.ts';

let folder = '';
beforeAll(() => {
  folder = temporaryFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('lineSplitter', () => {
  it('gives the same lines however the bytes are cut', () => {
    const lines = fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ' ')));
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 7 }), (expected, step) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''));
        const seen: string[] = [];
        const split = lineSplitter((line) => seen.push(line));
        for (let at = 0; at < bytes.length; at += step) split(bytes.subarray(at, at + step));
        split();
        expect(seen).toEqual(expected.map((line) => Buffer.from(line).toString()));
      }),
    );
  });

  it('does not hold a line without end', () => {
    const seen: number[] = [];
    const split = lineSplitter((line) => seen.push(line.length));
    for (let chunk = 0; chunk < 10; chunk += 1) split(Buffer.alloc(50_000, 'x'));
    expect(seen).toEqual([100_000, 100_000, 100_000, 100_000, 100_000]);
  });
});

describe('redactor', () => {
  it('never lets a secret through, not even one inside another', () => {
    const secret = fc.string({ minLength: 6, maxLength: 12 }).filter((text) => !text.includes('['));
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (value, before, after) => {
        const redacted = redactor({ SHORT: value, LONG: `${value}-more` })(`${before}${value}-more${after}${value}`);
        expect(redacted.replaceAll('[SHORT]', '').replaceAll('[LONG]', '').split(value).length - 1).toBeLessThanOrEqual(
          `${before}\u0000${after}`.split(value).length - 1,
        );
      }),
    );
    expect(redactor({ KEY: 'abc' })('abc')).toBe('abc');
  });
});

describe('ReplicaLog', () => {
  it('stops growing at its limit, says so, and still knows the last lines', async () => {
    const log = new ReplicaLog(join(folder, 'a-0.log'), { TOKEN: 'swordfish' }, 100);
    for (let line = 0; line < 50; line += 1) log.write(`line ${line} swordfish`);
    const text = await log.read();
    await log.close();
    expect(text).toMatch(/^line 0 \[TOKEN\]\n[\s\S]*\[log ends here: over 100 bytes\]\n$/);
    expect(text.length).toBeLessThan(200);
    expect(log.tail().split('\n')).toHaveLength(20);
    expect(log.tail()).toMatch(/line 49 \[TOKEN\]$/);
  });
});

describe('restartPolicy', () => {
  it('waits longer each time, and gives up at the sixth in a minute', () => {
    const policy = restartPolicy();
    expect(Array.from({ length: 7 }, (_, second) => policy.next(second * 1000))).toEqual([100, 200, 400, 800, 1600, null, null]);
    expect(policy.next(60_500)).toBe(1600);
  });

  it('never gives up on what crashes more seldom than every twelve seconds', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 12_001, max: 10_000_000 }), { maxLength: 50 }), (gaps) => {
        const policy = restartPolicy();
        let nowMs = 0;
        for (const gap of gaps) {
          nowMs += gap;
          expect(policy.next(nowMs)).not.toBe(null);
        }
      }),
    );
  });
});
