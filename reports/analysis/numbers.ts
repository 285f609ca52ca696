import type { Range } from '../analysis.ts';

/** A share as people read it; below a tenth with a digit, so that little does not look like nothing. */
export const share = (value: number): string => `${(value * 100).toFixed(Math.abs(value) >= 0.0005 && Math.abs(value) < 0.0995 ? 1 : 0)} %`;

/** `3 to 12 %`; one number where both ends read the same. */
export function range({ low, high }: Range, show: (value: number) => string): string {
  const [from, to] = [show(low), show(high)];
  if (from === to) return to;
  const unit = /[^\d.]+$/.exec(to)?.[0] ?? '';
  return unit.startsWith(' ') && from.endsWith(unit) ? `${from.slice(0, -unit.length)} to ${to}` : `${from} to ${to}`;
}

/** `3 to 12 % less`; an end below zero costs instead of saving. */
export function saved({ low, high }: Range, show: (value: number) => string): string {
  const near = (value: number) => show(Math.abs(value)) === show(0);
  if (near(low) && near(high)) return 'the same';
  if (low < 0 && high <= 0) return `${range({ low: -high, high: -low }, show)} more`;
  if (low < 0 && !near(low)) return `${show(-low)} more to ${show(high)} less`;
  return `${range({ low: Math.max(0, low), high }, show)} less`;
}
