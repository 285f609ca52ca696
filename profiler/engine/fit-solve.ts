/** Small dense linear algebra for fits of a handful of coefficients. Rows are observations, already weighted. */

/** Solves the symmetric positive definite system `matrix x = right`; undefined where it is singular. */
export function solveSymmetric(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | undefined {
  const size = right.length;
  const lower: number[][] = [];
  for (let i = 0; i < size; i++) {
    const row = new Array<number>(size).fill(0);
    lower.push(row);
    for (let j = 0; j <= i; j++) {
      let sum = at(matrix, i, j);
      for (let k = 0; k < j; k++) sum -= (row[k] ?? 0) * at(lower, j, k);
      if (i !== j) row[j] = sum / at(lower, j, j);
      else if (sum <= 1e-12 * Math.max(at(matrix, i, i), Number.MIN_VALUE)) return undefined;
      else row[j] = Math.sqrt(sum);
    }
  }
  const forward: number[] = [];
  for (let i = 0; i < size; i++) {
    let sum = right[i] ?? 0;
    for (let k = 0; k < i; k++) sum -= at(lower, i, k) * (forward[k] ?? 0);
    forward.push(sum / at(lower, i, i));
  }
  const solution = new Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    let sum = forward[i] ?? 0;
    for (let k = i + 1; k < size; k++) sum -= at(lower, k, i) * (solution[k] ?? 0);
    solution[i] = sum / at(lower, i, i);
  }
  return solution;
}

const at = (matrix: readonly (readonly number[])[], row: number, column: number) => matrix[row]?.[column] ?? 0;

/** AᵀA and Aᵀb. */
export function normalEquations(rows: readonly (readonly number[])[], right: readonly number[]) {
  const size = rows[0]?.length ?? 0;
  const gram = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  const moment = new Array<number>(size).fill(0);
  rows.forEach((row, index) => {
    const value = right[index] ?? 0;
    for (let i = 0; i < size; i++) {
      const a = row[i] ?? 0;
      if (a === 0) continue;
      moment[i] = (moment[i] ?? 0) + a * value;
      const line = gram[i] as number[];
      for (let j = 0; j < size; j++) line[j] = (line[j] ?? 0) + a * (row[j] ?? 0);
    }
  });
  return { gram, moment };
}

/**
 * Least squares with every coefficient at least zero (the active-set method of Lawson and Hanson, *Solving Least Squares
 * Problems*, 1974, chapter 23). A column of nothing but zeros gets zero.
 */
export function nonNegativeLeastSquares(rows: readonly (readonly number[])[], right: readonly number[]): number[] {
  const raw = normalEquations(rows, right);
  const size = raw.moment.length;
  const scale = raw.gram.map((line, i) => 1 / Math.sqrt(line[i] || 1));
  const gram = raw.gram.map((line, i) => line.map((value, j) => value * (scale[i] ?? 1) * (scale[j] ?? 1)));
  const moment = raw.moment.map((value, i) => value * (scale[i] ?? 1));
  const solution = new Array<number>(size).fill(0);
  const free = new Set<number>();
  const banned = new Set<number>();
  const tolerance = 1e-10 * Math.max(...moment.map(Math.abs), Number.MIN_VALUE);
  for (let round = 0; round < 10 * size; round++) {
    const entering = steepest(gram, moment, solution, free, banned);
    if (entering === undefined || entering.slope <= tolerance) break;
    free.add(entering.index);
    if (!settle(gram, moment, solution, free)) {
      free.delete(entering.index);
      banned.add(entering.index);
    }
  }
  return solution.map((value, i) => value * (scale[i] ?? 1));
}

function steepest(gram: readonly number[][], moment: readonly number[], solution: readonly number[], ...skip: readonly Set<number>[]) {
  let best: { index: number; slope: number } | undefined;
  moment.forEach((value, index) => {
    if (skip.some((set) => set.has(index)) || at(gram, index, index) === 0) return;
    const slope = value - (gram[index] ?? []).reduce((sum, entry, j) => sum + entry * (solution[j] ?? 0), 0);
    if (!best || slope > best.slope) best = { index, slope };
  });
  return best;
}

/** Moves to the best solution over the free columns, giving up those that reach zero on the way; false when they are dependent. */
function settle(gram: readonly number[][], moment: readonly number[], solution: number[], free: Set<number>): boolean {
  for (;;) {
    const columns = [...free].sort((a, b) => a - b);
    const target = solveSymmetric(
      columns.map((i) => columns.map((j) => at(gram, i, j))),
      columns.map((i) => moment[i] ?? 0),
    );
    if (!target) return false;
    const share = Math.min(
      1,
      ...columns.map((column, k) => {
        const from = solution[column] ?? 0;
        const to = target[k] ?? 0;
        return to > 0 ? 1 : from / (from - to || 1);
      }),
    );
    columns.forEach((column, k) => {
      solution[column] = (solution[column] ?? 0) + share * ((target[k] ?? 0) - (solution[column] ?? 0));
    });
    if (share >= 1) return true;
    for (const column of columns)
      if ((solution[column] ?? 0) <= 1e-15) {
        solution[column] = 0;
        free.delete(column);
      }
    if (free.size === 0) return true;
  }
}

export interface PositiveFit {
  readonly values: readonly number[];
  readonly residuals: readonly number[];
  /** Standard error of the logarithm of each value, from the curvature at the solution; infinite where there is none. */
  readonly logErrors: readonly number[];
}

/**
 * Minimizes the sum of squares of `residuals` over positive parameters by Levenberg's method on their logarithms, with
 * differences of `stride` for derivatives. Residuals are taken to scatter by `leastNoise` at least. Deterministic; stops when a round gains less than a ten-thousandth.
 */
export function fitPositive(
  residuals: (parameters: readonly number[]) => readonly number[],
  start: readonly number[],
  { stride = 1e-4, rounds = 60, leastNoise = 0 }: { readonly stride?: number; readonly rounds?: number; readonly leastNoise?: number } = {},
): PositiveFit {
  const cost = (list: readonly number[]) => list.reduce((sum, value) => sum + value * value, 0);
  const residualsAt = (logs: readonly number[]) => residuals(logs.map(Math.exp));
  let logs = start.map(Math.log);
  let here = residualsAt(logs);
  let damping = 1e-2;
  let last = curvature(residualsAt, logs, here, stride);
  for (let round = 0; round < rounds; round++) {
    const { gram, moment } = last;
    let gained = 0;
    for (let attempt = 0; attempt < 8 && gained === 0; attempt++) {
      const damped = gram.map((line, i) => line.map((value, j) => (i === j ? value * (1 + damping) + damping * 1e-3 : value)));
      // A parameter the data says nothing of must not run away.
      const step = solveSymmetric(damped, moment)?.map((value) => Math.max(-1, Math.min(1, value)));
      const next = step && logs.map((value, i) => value + (step[i] ?? 0));
      const there = next && residualsAt(next);
      if (next && there && cost(there) < cost(here)) {
        gained = 1 - cost(there) / cost(here);
        logs = next;
        here = there;
        damping /= 4;
      } else damping = damping * 4 + 1e-9;
    }
    if (gained > 0) last = curvature(residualsAt, logs, here, stride);
    if (gained < 1e-4) break;
  }
  const variance = Math.max(leastNoise ** 2, cost(here) / Math.max(1, here.length - logs.length));
  return { values: logs.map(Math.exp), residuals: here, logErrors: logs.map((_, k) => standardError(last.gram, k, variance)) };
}

function curvature(
  residualsAt: (logs: readonly number[]) => readonly number[],
  logs: readonly number[],
  here: readonly number[],
  stride: number,
) {
  const columns = logs.map((_, k) => {
    const moved = (by: number) => residualsAt(logs.map((value, i) => (i === k ? value + by : value)));
    const [up, down] = [moved(stride), moved(-stride)];
    return up.map((value, i) => (value - (down[i] ?? 0)) / (2 * stride));
  });
  const rows = here.map((_, i) => columns.map((column) => column[i] ?? 0));
  return normalEquations(
    rows,
    here.map((value) => -value),
  );
}

/** Square root of the k-th diagonal entry of variance × gram⁻¹, by what the other columns leave of the k-th. */
function standardError(gram: readonly (readonly number[])[], k: number, variance: number): number {
  const own = at(gram, k, k);
  const others = gram.map((_, i) => i).filter((i) => i !== k && at(gram, i, i) > 0);
  const scale = others.map((i) => 1 / Math.sqrt(at(gram, i, i)));
  const inner = others.map((i, a) => others.map((j, b) => at(gram, i, j) * (scale[a] ?? 1) * (scale[b] ?? 1) + (a === b ? 1e-10 : 0)));
  const moment = others.map((i, a) => at(gram, i, k) * (scale[a] ?? 1));
  const solution = solveSymmetric(inner, moment) ?? [];
  const left = own - solution.reduce((sum, value, i) => sum + value * (moment[i] ?? 0), 0);
  return left <= 1e-12 * own || own === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(variance / left);
}
