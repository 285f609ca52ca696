import type { Estimate } from '../compiler/contracts/index.ts';
import type { ReportHuman, ReportUnitUsage } from './report.ts';

/** Numbers as people read them, in reports. */
export function ms(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  if (value >= 10) return `${value.toFixed(1)} ms`;
  return `${value.toFixed(2)} ms`;
}

export function usd(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '$0';
  if (value >= 100) return `$${value.toFixed(0)}`;
  if (value >= 1) return `$${value.toFixed(2)}`;
  if (value >= 0.01) return `$${value.toFixed(3)}`;
  return `$${value.toPrecision(2)}`;
}

export function percent(share: number | null | undefined, digits = 0): string {
  return share === null || share === undefined || !Number.isFinite(share) ? '–' : `${(share * 100).toFixed(digits)} %`;
}

/** A ratio as a signed change: 0.7 → −30 %. */
export function change(ratio: number): string {
  const value = (ratio - 1) * 100;
  if (Math.abs(value) < 0.05) return '±0 %';
  return `${value > 0 ? '+' : '−'}${Math.abs(value).toFixed(Math.abs(value) < 10 ? 1 : 0)} %`;
}

export function bytes(value: number): string {
  if (value >= 1024 * 1024) return `${(value / 1024 / 1024).toFixed(1)} MB`;
  if (value >= 1024) return `${(value / 1024).toFixed(value >= 10_240 ? 0 : 1)} KB`;
  return `${value.toFixed(0)} B`;
}

export function count(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** One block gives a number but no interval. */
export const hasInterval = (estimate: Estimate): boolean => estimate.n > 1 && estimate.low !== estimate.high;

/** `[398, 431]`, or why there is no interval. */
export function interval(estimate: Estimate, show: (value: number) => string): string {
  if (hasInterval(estimate)) return `[${show(estimate.low)}, ${show(estimate.high)}]`;
  return estimate.n === 1 ? '(one block)' : '';
}

/** `412 ms [398, 431]`. */
export function withInterval(estimate: Estimate | null, show: (value: number) => string): string {
  return estimate === null ? '–' : `${show(estimate.point)} ${interval(estimate, show)}`.trimEnd();
}

/** One sentence per class, for every view. */
export const humanSentence = ({ requestClass, answered, requests, pauses, meanMs, maxMs }: ReportHuman): string =>
  `People were asked ${pauses} times in ${requests} of ${answered} requests of ${requestClass}; they took ${ms(meanMs)} per such request on average, ${ms(maxMs)} at most, as scripted. No latency counts it.`;

/** One line per unit: how long its CPU limit held it, and its bytes. */
export const unitUsageSentence = ({ id, throttledShare, receivedBytesPerRequest, sentBytesPerRequest }: ReportUnitUsage): string =>
  `${id}: held by its CPU limit ${percent(throttledShare, throttledShare < 0.1 ? 1 : 0)} of the time, received ${bytes(receivedBytesPerRequest)} and sent ${bytes(sentBytesPerRequest)} per request`;
