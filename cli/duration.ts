import { fail } from '../compiler/contracts/index.ts';

const factors: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `90s`, `2m` on the command line, in milliseconds. */
export function durationMs(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : factors[unit];
  if (number === undefined || factor === undefined)
    fail('DMAS_CLI_USAGE', `"${text}" is no duration`, { allowed: ['500ms', '90s', '2m', '1h'] });
  return Number(number) * factor;
}
