import { fail } from '../../compiler/contracts/index.ts';
import type { TableFile } from './operator-timings.ts';

/** One request as an engine logged it. Milliseconds from when the engine first saw one. */
export interface LogRequest {
  readonly id: string;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Prompt tokens that were found in the prefix cache, where the log says so. */
  readonly tokensCached?: number;
  /** When it was sent, by the same clock as far as can be told: no request is seen before it arrives. */
  readonly arrivalMs: number;
  /** When the scheduler first saw it: at the end of the step under way. */
  readonly queuedMs: number;
  readonly scheduledMs: number;
  readonly firstTokenMs: number;
  readonly lastTokenMs: number;
}

const columns = ['input_toks', 'output_toks', 'queued_ts', 'scheduled_ts', 'first_token_ts', 'last_token_ts'] as const;

/**
 * Requests of a log of JSON lines with `request_id`, `input_toks`, `output_toks`, `queued_ts`, `scheduled_ts`,
 * `first_token_ts`, `last_token_ts` and, where known, `arrival_time` and `cached_toks`; times in seconds. `arrival_time` may be by
 * another clock: the least delay up to `queued_ts` is taken as none.
 *
 * @throws DmasError DMAS_ENGINE_FILE naming the line
 */
export function readRequestLog({ path, text }: TableFile): LogRequest[] {
  const rows: { id: string; cached: number | undefined; arrival: number | undefined; values: Record<(typeof columns)[number], number> }[] =
    [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const place = `${path}:${index + 1}`;
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      return fail('DMAS_ENGINE_FILE', `${place}: not JSON: ${(error as Error).message}`, { fix: 'Each line must be one JSON object.' });
    }
    const values = {} as Record<(typeof columns)[number], number>;
    for (const column of columns) {
      const value = row[column];
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        return fail('DMAS_ENGINE_FILE', `${place}: ${column} is ${JSON.stringify(value)}`, {
          fix: `Each line needs ${columns.join(', ')} as numbers.`,
        });
      }
      values[column] = value;
    }
    const { queued_ts, scheduled_ts, first_token_ts, last_token_ts, input_toks, output_toks } = values;
    if (!(queued_ts <= scheduled_ts && scheduled_ts <= first_token_ts && first_token_ts <= last_token_ts)) {
      return fail('DMAS_ENGINE_FILE', `${place}: times out of order`, {
        fix: 'queued_ts ≤ scheduled_ts ≤ first_token_ts ≤ last_token_ts.',
      });
    }
    if (!(Number.isInteger(input_toks) && input_toks >= 1 && Number.isInteger(output_toks) && output_toks >= 1)) {
      return fail('DMAS_ENGINE_FILE', `${place}: input_toks and output_toks must be whole numbers of at least 1`, {
        fix: 'Leave requests without an answer out of the log.',
      });
    }
    const numberOr = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);
    rows.push({
      id: String(row.request_id ?? index),
      cached: numberOr(row.cached_toks),
      arrival: numberOr(row.arrival_time),
      values,
    });
  }
  if (rows.length === 0) return fail('DMAS_ENGINE_FILE', `${path}: no requests`, { fix: 'The log needs at least one line.' });
  const clock = Math.min(...rows.map(({ arrival, values }) => values.queued_ts - (arrival ?? values.queued_ts)));
  const arrivals = rows.map(({ arrival, values }) => (arrival === undefined ? values.queued_ts : arrival + clock));
  const origin = Math.min(...arrivals);
  const ms = (seconds: number) => (seconds - origin) * 1000;
  return rows.map(({ id, cached, values }, index) => ({
    id,
    tokensIn: values.input_toks,
    tokensOut: values.output_toks,
    ...(cached === undefined ? {} : { tokensCached: cached }),
    arrivalMs: ms(arrivals[index] as number),
    queuedMs: ms(values.queued_ts),
    scheduledMs: ms(values.scheduled_ts),
    firstTokenMs: ms(values.first_token_ts),
    lastTokenMs: ms(values.last_token_ts),
  }));
}
