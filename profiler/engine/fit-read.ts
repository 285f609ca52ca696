import { DmasError, fail, type Problem } from '../../compiler/contracts/index.ts';
import type { TimedRequest } from './fit-timeline.ts';

/** Columns of a request log a fit needs; times in seconds of one clock. */
const columns = ['input_toks', 'output_toks', 'queued_ts', 'scheduled_ts', 'first_token_ts', 'last_token_ts'] as const;
type Column = (typeof columns)[number];

/**
 * Requests of a log in JSON lines, in order of arrival, times in ms from the first. All lines that are wrong are told at
 * once, up to three.
 *
 * @throws DmasError DMAS_ENGINE_FILE
 */
export function readTimedRequests(file: string, text: string): TimedRequest[] {
  const problems: Problem[] = [];
  const rows: { readonly [column in Column]: number }[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const row = readRow(line);
    if (typeof row !== 'string') rows.push(row);
    else if (problems.length < 3)
      problems.push({ code: 'DMAS_ENGINE_FILE', severity: 'error', at: { file, line: index + 1 }, ...explain(row) });
  });
  if (problems.length > 0) throw new DmasError(problems);
  if (rows.length < 2)
    fail('DMAS_ENGINE_FILE', `${file} holds ${rows.length} requests, and a fit needs at least two`, {
      fix: `Give a log in JSON lines with ${columns.join(', ')}.`,
    });
  const startS = Math.min(...rows.map(({ queued_ts }) => queued_ts));
  const ms = (seconds: number) => (seconds - startS) * 1000;
  return rows
    .map((row) => ({
      tokensIn: row.input_toks,
      tokensOut: row.output_toks,
      queuedMs: ms(row.queued_ts),
      scheduledMs: ms(row.scheduled_ts),
      firstTokenMs: ms(row.first_token_ts),
      lastTokenMs: ms(row.last_token_ts),
    }))
    .sort((a, b) => a.queuedMs - b.queuedMs);
}

/** What is wrong with a line, else its numbers. */
function readRow(line: string): { readonly [column in Column]: number } | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'the line is no JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the line is no JSON object';
  const row = value as { readonly [column in Column]: unknown };
  for (const column of columns) {
    if (row[column] === undefined || row[column] === null) return `${column} is missing`;
    if (typeof row[column] !== 'number' || !Number.isFinite(row[column])) return `${column} is no number`;
  }
  const numbers = row as { readonly [column in Column]: number };
  for (const column of ['input_toks', 'output_toks'] as const)
    if (!Number.isInteger(numbers[column]) || numbers[column] < 1)
      return `${column} is ${numbers[column]}, not a whole number of at least 1`;
  const order = ['queued_ts', 'scheduled_ts', 'first_token_ts', 'last_token_ts'] as const;
  for (let i = 1; i < order.length; i++) {
    const [before, after] = [order[i - 1], order[i]] as [Column, Column];
    if (numbers[after] < numbers[before]) return `${after} is before ${before}`;
  }
  return numbers;
}

const explain = (what: string) => ({
  message: what,
  fix: what.includes('before')
    ? 'All times must be seconds of one clock, in the order queued, scheduled, first token, last token.'
    : `Each line is an object with the numbers ${columns.join(', ')}; times in seconds.`,
});
