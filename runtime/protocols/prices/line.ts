export interface PricePoint {
  readonly sizeKb: number;
  readonly costMs: number;
}

/**
 * The line `fixed + perKb × size` through measured costs by weighted least squares. Weights are 1/cost², so that the
 * error counts relative to the cost: unweighted, a few per cent of noise on the largest size would be many times the
 * cost of the smallest. Neither part is below 0; where the fit says so, that part is 0 and the other is fitted alone.
 */
export function priceLine(points: readonly PricePoint[]): { readonly fixedMs: number; readonly perKbMs: number } {
  let sum = 0;
  let sumX = 0;
  let sumY = 0;
  let sumXx = 0;
  let sumXy = 0;
  for (const { sizeKb: x, costMs } of points) {
    const y = Math.max(costMs, smallestCostMs);
    const weight = 1 / (y * y);
    sum += weight;
    sumX += weight * x;
    sumY += weight * y;
    sumXx += weight * x * x;
    sumXy += weight * x * y;
  }
  const determinant = sum * sumXx - sumX * sumX;
  const perKbMs = determinant > 0 ? (sum * sumXy - sumX * sumY) / determinant : 0;
  const fixedMs = sum > 0 ? (sumY - perKbMs * sumX) / sum : 0;
  if (perKbMs < 0) return { fixedMs: sumY / sum, perKbMs: 0 };
  if (fixedMs < 0) return { fixedMs: 0, perKbMs: sumXy / sumXx };
  return { fixedMs, perKbMs };
}

/** A measured 0 (the clock did not tick) must not get infinite weight. */
const smallestCostMs = 1e-6;
