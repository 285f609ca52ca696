import type { Range } from '../../reports/analysis.ts';

/** Numbers in the sentences of advice, short enough to be read aloud. */
export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return 'an unknown time';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return `${value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

export function usd(value: number): string {
  if (value === 0) return '$0';
  if (value >= 1) return `$${value.toFixed(value >= 100 ? 0 : 2)}`;
  return value >= 0.01 ? `$${value.toFixed(3)}` : `$${value.toPrecision(2)}`;
}

/** Below a tenth a digit is told, so that little does not look like nothing. */
export function percent(share: number, digits = Math.abs(share) >= 0.0005 && Math.abs(share) < 0.0995 ? 1 : 0): string {
  return `${(share * 100).toFixed(digits)} %`;
}

/** `3 to 12 %`; one number where the ends read the same. */
export function percentRange({ low, high }: Range): string {
  const [from, to] = [percent(low), percent(high)];
  return from === to ? to : `${from.replace(' %', '')} to ${to}`;
}

export const msRange = ({ low, high }: Range): string => (ms(low) === ms(high) ? ms(high) : `${ms(low)} to ${ms(high)}`);
export const usdRange = ({ low, high }: Range): string => (usd(low) === usd(high) ? usd(high) : `${usd(low)} to ${usd(high)}`);

export function bytes(value: number): string {
  if (value >= 1024 * 1024) return `${(value / 1024 / 1024).toFixed(1)} MB`;
  return value >= 1024 ? `${(value / 1024).toFixed(value >= 10_240 ? 0 : 1)} KB` : `${value.toFixed(0)} B`;
}

export const count = (value: number): string =>
  value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);

/** `1 call`, `2.5 calls`. */
export const times = (calls: number): string => `${count(calls)} ${calls === 1 ? 'call' : 'calls'}`;

export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** `a, b and c`, at most so many by name. */
export function listed(names: readonly string[], most = 4): string {
  const shown = names.length > most ? [...names.slice(0, most - 1), `${names.length - most + 1} more`] : [...names];
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}
