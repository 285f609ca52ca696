import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEventReader } from '../../../profiler/load/sse.ts';

const read = (pieces: Uint8Array[]): string[] => {
  const out: string[] = [];
  const reader = createEventReader((data) => out.push(data));
  for (const piece of pieces) reader.push(piece);
  reader.end();
  return out;
};

describe('the event reader', () => {
  it('finds the same events however the bytes are cut', () => {
    const events = fc.array(
      fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ' ')),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(events, fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(400), { maxLength: 10 }), (texts, eol, cuts) => {
        const bytes = Buffer.from(texts.map((text) => `: note${eol}id: 1${eol}data: ${text}${eol}${eol}`).join(''));
        const at = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((a, b) => a - b);
        const pieces = [0, ...at].map((start, i) => bytes.subarray(start, at[i] ?? bytes.length));
        expect(read(pieces)).toEqual(texts);
      }),
    );
  });

  it('joins the data lines of one event and ignores an unfinished one', () => {
    expect(read([Buffer.from('data: a\ndata:b\n\ndata: cut off')])).toEqual(['a\nb']);
  });
});
