/** Values at `tableShares`, ascending: a distribution in a few numbers. */
export type QuantileTable = readonly number[];

/** Where a table has its values: every twentieth, and denser towards both ends. */
export const tableShares: readonly number[] = [
  0,
  0.01,
  0.025,
  ...Array.from({ length: 19 }, (_, i) => (i + 1) / 20),
  0.975,
  0.99,
  0.995,
  1,
];

/** Nearest-rank quantiles of a sample; a list of zeros for an empty one. */
export function tableOf(sample: readonly number[], digits = 4): QuantileTable {
  const sorted = Float64Array.from(sample).sort();
  return tableShares.map((share) => Number((sorted[Math.round(share * (sorted.length - 1))] ?? 0).toPrecision(digits)));
}

/** The value with this share of the distribution below it: on a straight line between neighbours, of logarithms where both are above 0. */
export function tableValue(table: QuantileTable, share: number): number {
  const at = Math.max(
    1,
    tableShares.findIndex((edge) => edge >= share),
  );
  const low = table[at - 1] ?? 0;
  const high = table[at] ?? low;
  const from = tableShares[at - 1] ?? 0;
  const part = (share - from) / ((tableShares[at] ?? 1) - from);
  return low > 0 && high > 0 ? low * (high / low) ** part : low + (high - low) * part;
}
