import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageLimitBytes, parsePrometheus } from '../../../../profiler/collect/metrics/prometheus.ts';

const only = (text: string, name = 'm') => parsePrometheus(text).samples.get(name);

describe('the text format of Prometheus', () => {
  it('has names, labels with escapes, values and times', () => {
    expect(only('m{a="1", b = "x\\"y\\\\z\\n" ,} 1.5e3 1700000000000\n')).toEqual([
      { name: 'm', labels: { a: '1', b: 'x"y\\z\n' }, value: 1500, timestampMs: 1700000000000 },
    ]);
    expect(only('m{} 7')).toEqual([{ name: 'm', labels: {}, value: 7 }]);
    expect(only('  m\t3\r\n')).toEqual([{ name: 'm', labels: {}, value: 3 }]);
  });

  it('has numbers that are none', () => {
    const values = ['+Inf', 'Inf', '-Inf', 'NaN', '-.5', '5.', '+1E-2'].map((value) => only(`m ${value}`)?.[0]?.value);
    expect(values).toEqual([Infinity, Infinity, -Infinity, Number.NaN, -0.5, 5, 0.01]);
  });

  it('has comments, of which a type alone says something', () => {
    const page = parsePrometheus('# some words\n# HELP m what it is\n# TYPE m histogram\nm_bucket{le="+Inf"} 1\n\n# EOF\n');
    expect([...page.types]).toEqual([['m', 'histogram']]);
    expect(page.samples.get('m_bucket')?.[0]?.labels).toEqual({ le: '+Inf' });
  });

  it.each([
    ['m', 'no value of m'],
    ['m{a="1"} ', '"" is no number'],
    ['m twelve', '"twelve" is no number'],
    ['m 0x10', '"0x10" is no number'],
    ['m 1 2 3', 'more than a value and a time'],
    ['m 1 1.5', '"1.5" is no time'],
    ['1m 2', 'no name of a metric'],
    ['m{1="x"} 2', 'no name of a label'],
    ['m{a=x} 2', 'not quoted'],
    ['m{a "x"} 2', 'no = after label a'],
    ['m{a="x} 2', 'has no end'],
    ['m{a="x\\t"} 2', '\\t is no escape'],
    ['m{a="x" b="y"} 2', 'neither , nor }'],
    ['m{a="x",a="y"} 2', 'label a twice'],
    ['# TYPE m counter\n# TYPE m counter', 'a second TYPE of m'],
    ['m 1\n# TYPE m counter', 'comes after its values'],
    ['# TYPE m speed', '"speed" is no type'],
    ['<!doctype html>', 'no name of a metric'],
  ])('is not %j', (text, message) => {
    expect(() => parsePrometheus(text)).toThrow(RangeError);
    expect(() => parsePrometheus(text)).toThrow(message);
    expect(() => parsePrometheus(text)).toThrow(/^line \d/);
  });

  it('is no larger than a page of metrics may be', () => {
    expect(() => parsePrometheus('#'.repeat(pageLimitBytes + 1))).toThrow(RangeError);
    expect(() => parsePrometheus('\n'.repeat(500_000))).toThrow('more than 400000 lines');
    const labels = Array.from({ length: 65 }, (_, index) => `l${index}="x"`).join(',');
    expect(() => parsePrometheus(`m{${labels}} 1`)).toThrow('more than 64 labels');
  });

  it('keeps labels that are named as the machinery of objects', () => {
    const labels = only('m{__proto__="x",constructor="y"} 1')?.[0]?.labels;
    expect(Object.entries(labels ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });

  it('comes back as it was written, whatever the labels hold', () => {
    const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    const name = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,8}$/);
    const label = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_]{0,8}$/);
    const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((value) => !value.includes('\r'));
    fc.assert(
      fc.property(name, fc.dictionary(label, text, { noNullPrototype: true }), fc.double(), (metric, labels, value) => {
        const line = `${metric}{${Object.entries(labels)
          .map(([key, held]) => `${key}="${escaped(held)}"`)
          .join(',')}} ${Number.isFinite(value) ? value : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'}`;
        const [sample] = only(line, metric) ?? [];
        expect({ ...sample?.labels }).toEqual({ ...labels });
        expect(sample?.value).toBe(value === 0 ? Number(String(value)) : value);
      }),
    );
  });

  it('never fails but with a RangeError', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'m{}="\\,# \n1eTYPE+InfNaN\t.-'.split('')), maxLength: 60 }), (text) => {
        try {
          parsePrometheus(text);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
