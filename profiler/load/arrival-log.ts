/**
 * Arrival times from a log, in ms from the first one, played `rateScale` times as fast. Reads a CSV with a `TIMESTAMP`
 * column (the form of the Azure LLM inference traces) or one time in seconds per line.
 */
export function parseArrivalLog(text: string, rateScale: number): { readonly timesMs: readonly number[] } | { readonly error: string } {
  const lines = text.split('\n').map((line) => line.trim());
  const rows = lines.filter((line) => line !== '');
  const header = rows[0]?.split(',').map((cell) => cell.trim().toUpperCase()) ?? [];
  const column = header.indexOf('TIMESTAMP');
  const body = column >= 0 ? rows.slice(1) : rows;
  const timesMs: number[] = [];
  for (const [index, row] of body.entries()) {
    const cell = column >= 0 ? row.split(',')[column]?.trim() : row;
    const time = column >= 0 ? timestampMs(cell ?? '') : Number(cell) * 1000;
    if (!Number.isFinite(time)) return { error: `line ${index + (column >= 0 ? 2 : 1)} is no time: "${row.slice(0, 40)}"` };
    timesMs.push(time);
  }
  if (timesMs.length === 0) return { error: 'has no arrival' };
  timesMs.sort((a, b) => a - b);
  const first = timesMs[0] ?? 0;
  return { timesMs: timesMs.map((time) => (time - first) / rateScale) };
}

/** `2023-11-16 18:15:46.6805900` with more digits than Date keeps, or ISO 8601; without a zone it is UTC. */
function timestampMs(text: string): number {
  const [, seconds = '', fraction = '', zone = ''] =
    /^(\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})?$/.exec(text) ?? [];
  return Date.parse(`${seconds.replace(' ', 'T')}${zone || 'Z'}`) + Number(fraction || 0) * 1000;
}
