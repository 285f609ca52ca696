import { DmasError, fail, type Problem } from '../../compiler/contracts/index.ts';
import type { TimedRequest } from './fit-timeline.ts';
import type { TableFile } from './operator-timings.ts';

/** One request as an engine logged it. Milliseconds from when the first one was sent. */
export interface LogRequest extends TimedRequest {
  readonly id: string;
  /** Prompt tokens that were found in the prefix cache, where the log says so. */
  readonly tokensCached?: number;
  /** When it was sent, by the same clock as far as can be told: no request is seen before it arrives. */
  readonly arrivalMs: number;
}

/** In the order in which they happen to a request. */
const times = ['queued_ts', 'scheduled_ts', 'first_token_ts', 'last_token_ts'] as const;
const counts = ['input_toks', 'output_toks'] as const;
const columns = [...counts, ...times] as const;
type Numbers = { readonly [column in (typeof columns)[number]]: number };
interface Row {
  readonly id: string;
  readonly values: Numbers;
  readonly cached: number | undefined;
  readonly arrival: number | undefined;
}
type Wrong = Pick<Problem, 'message' | 'fix'>;

/** Lines told at once when they are wrong: a file of another kind is wrong in every one. */
const problemsMax = 3;

/**
 * Requests of a log of JSON lines with `input_toks`, `output_toks`, `queued_ts`, `scheduled_ts`, `first_token_ts`,
 * `last_token_ts` and, where known, `request_id`, `arrival_time` and `cached_toks`; times in seconds, in the order of the
 * log. `arrival_time` may be by another clock: the least delay up to `queued_ts` is taken as none.
 *
 * @throws DmasError DMAS_ENGINE_FILE with the first three lines that are wrong
 */
export function readRequestLog({ path, text }: TableFile): LogRequest[] {
  const problems: Problem[] = [];
  const rows: Row[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const row = readRow(line, index);
    if ('values' in row) rows.push(row);
    else if (problems.length < problemsMax)
      problems.push({ code: 'DMAS_ENGINE_FILE', severity: 'error', at: { file: path, line: index + 1 }, ...row });
  }
  if (problems.length > 0) throw new DmasError(problems);
  if (rows.length === 0)
    return fail('DMAS_ENGINE_FILE', `${path}: no requests`, { fix: `Give a log in JSON lines with ${columns.join(', ')}.` });
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

const formFix = `Each line is an object with the numbers ${columns.join(', ')}; times in seconds.`;
const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isCount = (value: number, least: number) => Number.isInteger(value) && value >= least;

function readRow(line: string, index: number): Row | Wrong {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { message: `the line is no JSON: ${(error as Error).message}`, fix: formFix };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { message: 'the line is no JSON object', fix: formFix };
  const row = value as { readonly [column: string]: unknown };
  for (const column of columns) {
    if (isAbsent(row[column])) return { message: `${column} is missing`, fix: formFix };
    if (!isNumber(row[column])) return { message: `${column} is no number: ${JSON.stringify(row[column])}`, fix: formFix };
  }
  const values = row as Numbers;
  for (const column of counts)
    if (!isCount(values[column], 1))
      return {
        message: `${column} is ${values[column]}, not a whole number of at least 1`,
        fix: 'Leave requests without an answer out of the log.',
      };
  for (const [before, after] of [times.slice(0, 2), times.slice(1, 3), times.slice(2, 4)] as [keyof Numbers, keyof Numbers][])
    if (values[after] < values[before])
      return { message: `${after} is before ${before}`, fix: `All times must be seconds of one clock, in the order ${times.join(', ')}.` };
  const { cached_toks: cached, arrival_time: arrival } = row;
  if (!isAbsent(arrival) && !isNumber(arrival))
    return { message: `arrival_time is no number: ${JSON.stringify(arrival)}`, fix: 'Give it in seconds by any clock, or leave it out.' };
  if (!isAbsent(cached) && !(isNumber(cached) && isCount(cached, 0) && cached <= values.input_toks))
    return {
      message: `cached_toks is ${JSON.stringify(cached)}, not a whole number from 0 to input_toks`,
      fix: 'Leave it out where it is not known.',
    };
  return { id: String(row.request_id ?? index), values, cached: cached ?? undefined, arrival: arrival ?? undefined };
}
