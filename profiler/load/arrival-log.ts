import { createRandom } from '../../compiler/contracts/random.ts';

/** How a log is played. */
export interface LogScale {
  /** Requests per recorded one; see `atDensity`. */
  readonly rateScale: number;
  /** Duration beside the recorded one. */
  readonly timeScale: number;
  /** Where it starts, in ms of recorded time from its first arrival. */
  readonly fromMs: number;
  readonly seed: number;
}

type Parsed = { readonly timesMs: readonly number[] } | { readonly error: string; readonly line?: number };

/**
 * Arrival times from a log, ascending, in ms from the first one. Reads a CSV with a `TIMESTAMP` column (the form of the
 * Azure LLM inference traces) or one time in seconds per line. What is wrong is told with its line, counted from 1.
 */
export function parseArrivalLog(text: string): Parsed {
  const rows = text.split('\n').map((row) => row.trim());
  const head = rows.findIndex((row) => row !== '');
  const header =
    rows[head]?.split(',').map((cell) =>
      cell
        .trim()
        .replace(/^\uFEFF/, '')
        .toUpperCase(),
    ) ?? [];
  const column = header.indexOf('TIMESTAMP');
  const timesMs: number[] = [];
  for (const [index, row] of rows.entries()) {
    if (row === '' || (column >= 0 && index === head)) continue;
    const cell = column >= 0 ? row.split(',')[column]?.trim() : row;
    const time = column >= 0 ? timestampMs(cell ?? '') : Number(cell) * 1000;
    if (!Number.isFinite(time)) return { error: `line ${index + 1} is no time: "${row.slice(0, 40)}"`, line: index + 1 };
    timesMs.push(time);
  }
  if (timesMs.length === 0) return { error: 'has no arrival' };
  timesMs.sort((a, b) => a - b);
  const first = timesMs[0] ?? 0;
  return { timesMs: timesMs.map((time) => time - first) };
}

/** A log as it is played: from where it starts, at its density, on its clock. An error when nothing is left of it. */
export function playedLog(timesMs: readonly number[], { rateScale, timeScale, fromMs, seed }: LogScale): Parsed {
  const kept = timesMs.filter((time) => time >= fromMs).map((time) => time - fromMs);
  const played = atDensity(kept, rateScale, seed).map((time) => time * timeScale);
  if (played.length > 0) return { timesMs: played };
  const last = ((timesMs.at(-1) ?? 0) / 1000).toFixed(0);
  return {
    error: kept.length === 0 ? `ends ${last} s after its first arrival, before it is to start` : 'has no arrival left at that rate',
  };
}

/**
 * The log with `factor` times as many arrivals and the same clock. Below 1 each is kept with that probability (thinning);
 * above 1 further ones are laid over it, each at a random moment of the gap after a recorded one, so that wherever the
 * recorded rate was high the played one is, and bursts last as long as they did. The same seed gives the same times.
 */
export function atDensity(timesMs: readonly number[], factor: number, seed: number): readonly number[] {
  if (factor === 1) return timesMs;
  const random = createRandom(seed);
  const times: number[] = [];
  timesMs.forEach((time, i) => {
    const copies = Math.floor(factor) + (random.next() < factor % 1 ? 1 : 0);
    const gapMs = (timesMs[i + 1] ?? time) - time;
    for (let copy = 0; copy < copies; copy++) times.push(copy === 0 ? time : time + random.next() * gapMs);
  });
  return times.sort((a, b) => a - b);
}

/** `2023-11-16 18:15:46.6805900` with more digits than Date keeps, or ISO 8601; without a zone it is UTC. */
function timestampMs(text: string): number {
  const [, seconds = '', fraction = '', zone = ''] =
    /^(\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})?$/.exec(text) ?? [];
  return Date.parse(`${seconds.replace(' ', 'T')}${zone || 'Z'}`) + Number(fraction || 0) * 1000;
}
