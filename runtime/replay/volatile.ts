/** How much of what changes from call to call is taken out of a text. */
export type Strength = 'exact' | 'near' | 'loose';

/**
 * A time this near to the moment of the call is "now" as the caller's clock has it, whatever its zone (zones reach 14 hours
 * to either side) and however long the request has been under way.
 */
const nearMs = 24 * 3_600_000;
/** Epoch numbers outside these years are other numbers. */
const firstEpochMs = Date.UTC(2001, 8, 9);
const lastEpochMs = Date.UTC(2100, 0, 1);

const uuid = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi;
/** Ids that clients and providers make up: of calls, replies, requests, runs, threads. */
const madeUpId = /\b(?:call|chatcmpl|cmpl|req|request|resp|msg|run|thread|toolu|item|trace|session)[_-][A-Za-z0-9-]*\d[A-Za-z0-9_-]{5,}/g;
const months =
  '(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)';
const weekday = '(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\\s+)?';
const clock = '\\d{1,2}:\\d{2}(?::\\d{2}(?:[.,]\\d{1,9})?)?(?:\\s?[ap]\\.?m\\b\\.?)?';
const zone = '\\s?(?:Z|UTC|GMT)?(?:[+-]\\d{2}:?\\d{2})?(?:\\s?\\([A-Za-z ]{3,40}\\))?';
const time = new RegExp(
  [
    `${weekday}\\d{4}-\\d{2}-\\d{2}(?:[T ]${clock}${zone})?`,
    `${weekday}\\d{1,2}(?:st|nd|rd|th)?\\.?\\s${months}\\.?,?\\s\\d{4}(?:,?\\s(?:at\\s)?${clock}${zone})?`,
    `${weekday}${months}\\.?\\s\\d{1,2}(?:st|nd|rd|th)?,?\\s\\d{4}(?:,?\\s(?:at\\s)?${clock}${zone})?`,
    `${weekday}\\d{1,2}[./]\\d{1,2}[./]\\d{4}(?:,?\\s${clock}${zone})?`,
  ]
    .map((form) => `(?:${form})`)
    .join('|'),
  'gi',
);
const epoch = /(?<![\w.-])\d{10}(?:\d{3}|\.\d{1,9})?(?![\w-]|\.\d)/g;
const timeOfDay = new RegExp(`(?<![\\d:])${clock}(?![\\d:])`, 'gi');

/** A text without what changes from call to call. `nowMs` is the moment of the call. */
export function withoutVolatile(text: string, strength: Strength, nowMs: number): string {
  if (strength === 'exact') return text;
  const stale = (ms: number) => strength === 'near' && !(Math.abs(ms - nowMs) <= nearMs);
  const clean = text
    .replace(uuid, '<uuid>')
    .replace(madeUpId, '<id>')
    .replace(time, (found) => (stale(msOf(found)) ? found : '<time>'))
    .replace(epoch, (found) => {
      const ms = epochMs(Number(found));
      return ms === undefined || stale(ms) ? found : '<time>';
    });
  // A time of day alone does not say of which day.
  return strength === 'loose' ? clean.replace(timeOfDay, '<time>') : clean;
}

/** Of a JSON number: seconds or milliseconds since 1970, when it can be one. */
export function epochMs(value: number): number | undefined {
  for (const ms of [value * 1000, value]) if (ms >= firstEpochMs && ms < lastEpochMs) return ms;
  return undefined;
}

/** NaN for a form that no parser knows; its day is what counts, so the words around it go. */
function msOf(found: string): number {
  const plain = found
    .replace(/^[A-Za-z]+,?\s+(?=\d)/, '')
    .replace(/(\d)(?:st|nd|rd|th)\b/i, '$1')
    .replace(/\s(?:at|\([^)]*\))/gi, '');
  const direct = Date.parse(plain);
  if (!Number.isNaN(direct)) return direct;
  const [, a, b, year] = /^(\d{1,2})[./](\d{1,2})[./](\d{4})/.exec(plain) ?? [];
  return year === undefined ? Number.NaN : Date.UTC(Number(year), Number(b) - 1, Number(a));
}
