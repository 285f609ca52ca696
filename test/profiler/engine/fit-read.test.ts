import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmasError } from '../../../compiler/contracts/index.ts';
import { readTimedRequests } from '../../../profiler/engine/fit-read.ts';
import { knownArgs, linesOf, logOf } from './logs.ts';

const engine = { fixedMs: 5, perPromptTokenMs: 0.05, perSequenceMs: 0.1, perContextTokenMs: 0.0001 };
const log = logOf(engine, knownArgs, { requests: 10, perSecond: 5, tokensIn: [5, 50], tokensOut: [2, 20], seed: 1 });
const problemsOf = (text: string) => {
  try {
    readTimedRequests('log.jsonl', text);
  } catch (error) {
    if (error instanceof DmasError) return error.problems;
    throw error;
  }
  return [];
};
const good = { input_toks: 4, output_toks: 4, queued_ts: 1, scheduled_ts: 1.1, first_token_ts: 1.2, last_token_ts: 1.5 };

describe('reading a request log', () => {
  it('gives milliseconds from the first request on', () => {
    const read = readTimedRequests('log.jsonl', linesOf(log));
    expect(read).toHaveLength(10);
    read.forEach((request, index) => {
      expect(request.firstTokenMs).toBeCloseTo((log[index]?.firstTokenMs ?? 0) - (log[0]?.queuedMs ?? 0), 3);
      expect(request.tokensOut).toBe(log[index]?.tokensOut);
    });
  });

  it.each([
    ['no JSON', '{"input_toks": 4', 'no JSON'],
    ['no object', '[1, 2]', 'no JSON object'],
    ['a column that is missing', JSON.stringify({ ...good, queued_ts: undefined }), 'queued_ts is missing'],
    ['a column that is no number', JSON.stringify({ ...good, last_token_ts: 'late' }), 'last_token_ts is no number'],
    ['no tokens', JSON.stringify({ ...good, output_toks: 0 }), 'output_toks is 0'],
    ['times out of order', JSON.stringify({ ...good, first_token_ts: 0.5 }), 'first_token_ts is before scheduled_ts'],
  ])('names line and fix of %s', (_, line, said) => {
    const problems = problemsOf(`${JSON.stringify(good)}\n${line}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(said);
    expect(problems[0]?.at).toEqual({ file: 'log.jsonl', line: 2 });
    expect(problems[0]?.fix).toBeTruthy();
  });

  it('throws nothing but its own error, whatever the file holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.array(fc.json()).map((lines) => lines.join('\n')),
        ),
        (text) => {
          expect(problemsOf(text).length).toBeGreaterThan(0);
        },
      ),
      { seed: 1 },
    );
  });
});
