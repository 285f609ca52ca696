import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { StepBatch } from '../../runtime/llm/engine/step-time.ts';
import { rises } from './fit-curve.ts';
import { nonNegativeLeastSquares, solveSymmetric } from './fit-solve.ts';

/** A stretch of engine time and the steps it was spent on. */
export interface StepObservation {
  readonly ms: number;
  readonly steps: readonly { readonly batch: StepBatch; readonly count: number }[];
}

export interface StepFit {
  readonly coefficients: StepCoefficients;
  /** Relative errors of the observations, absolute values. */
  readonly medianErrorShare: number;
  readonly p90ErrorShare: number;
  readonly observations: number;
  /** What the observations could not tell, for people. */
  readonly undetermined: readonly string[];
}

/** One coefficient: how an observation depends on it, and what it is called where it cannot be told. */
interface Column {
  readonly name: string;
  readonly of: (batch: StepBatch) => number;
}

const tokensOf = (batch: StepBatch) => batch.decodes + batch.prefillTokens;

function columnsOf(denseKnots: readonly number[]): Column[] {
  return [
    { name: 'the fixed time of a step', of: () => 1 },
    { name: 'the time per sequence in a step', of: (batch) => batch.samples },
    { name: 'the time per token of context of a decoding sequence', of: (batch) => batch.decodeContextTokens },
    ...denseKnots.slice(1).map((end, index) => ({
      name: `the time per prompt token, between ${denseKnots[index]} and ${end} tokens in a step`,
      of: (batch: StepBatch) => rises(denseKnots, tokensOf(batch))[index] ?? 0,
    })),
    { name: 'the fixed time of a step with prompt tokens in it', of: (batch) => (batch.prefillChunks > 0 ? 1 : 0) },
    { name: 'the time of attention within a prompt', of: (batch) => batch.prefillPairs },
  ];
}

/** Observations further off than this many median deviations weigh less, as under Huber’s loss (1.345 for 95 % efficiency). */
const huber = 1.345;
const rounds = 6;

/**
 * Step-time coefficients from stretches of time whose batches are known, by least squares with no coefficient below zero
 * and relative weights; stretches that do not fit the rest weigh less. The number of tokens from which a step becomes
 * slower per token is chosen among a few by the error left.
 *
 * Host work and reading weights are one number here, put into the dense curve: time alone cannot split them.
 */
export function fitSteps(observations: readonly StepObservation[]): StepFit {
  const mostTokens = Math.max(2, ...observations.flatMap(({ steps }) => steps.map(({ batch }) => tokensOf(batch))));
  const knees = [32, 64, 128, 256, 512].filter((knee) => knee * 2 <= mostTokens);
  const candidates = [[1, mostTokens], ...knees.map((knee) => [1, knee, mostTokens])].map((knots) => solve(observations, knots));
  // A knee is a coefficient more, and must earn it.
  const plain = candidates[0] as Solved;
  const best = candidates.reduce((a, b) => (b.loss < a.loss ? b : a), plain);
  const chosen = best.loss < plain.loss * 0.95 ? best : plain;
  const errors = chosen.errors.map(Math.abs).sort((a, b) => a - b);
  const quantile = (share: number) => errors[Math.min(errors.length - 1, Math.floor(share * errors.length))] ?? 0;
  return {
    coefficients: coefficientsOf(chosen.knots, chosen.values),
    medianErrorShare: quantile(0.5),
    p90ErrorShare: quantile(0.9),
    observations: observations.length,
    undetermined: undeterminedOf(chosen, observations),
  };
}

interface Solved {
  readonly knots: readonly number[];
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly number[])[];
  readonly values: readonly number[];
  readonly weights: readonly number[];
  /** (predicted − observed) / observed. */
  readonly errors: readonly number[];
  readonly loss: number;
}

function solve(observations: readonly StepObservation[], knots: readonly number[]): Solved {
  const columns = columnsOf(knots);
  const rows = observations.map(({ ms, steps }) =>
    columns.map(({ of }) => steps.reduce((sum, { batch, count }) => sum + of(batch) * count, 0) / ms),
  );
  let weights = observations.map(() => 1);
  let values: number[] = [];
  let errors: number[] = [];
  let loss = 0;
  for (let round = 0; round < rounds; round++) {
    values = nonNegativeLeastSquares(
      rows.map((row, i) => row.map((value) => value * (weights[i] ?? 1))),
      weights,
    );
    errors = rows.map((row) => row.reduce((sum, value, k) => sum + value * (values[k] ?? 0), 0) - 1);
    const sorted = errors.map(Math.abs).sort((a, b) => a - b);
    const limit = Math.max(1e-9, huber * 1.4826 * (sorted[sorted.length >> 1] ?? 0));
    loss = errors.reduce((sum, error) => sum + (Math.abs(error) <= limit ? error ** 2 / 2 : limit * (Math.abs(error) - limit / 2)), 0);
    weights = errors.map((error) => Math.sqrt(Math.min(1, limit / Math.abs(error || limit))));
  }
  return { knots, columns, rows, values, weights, errors, loss };
}

function coefficientsOf(knots: readonly number[], values: readonly number[]): StepCoefficients {
  const [fixed = 0, perSequence = 0, perContextToken = 0, ...rest] = values;
  let sum = fixed;
  const ms = [sum, ...knots.slice(1).map((_, index) => (sum += rest[index] ?? 0))];
  const [prefillFixed = 0, perPair = 0] = rest.slice(knots.length - 1);
  return {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: { at: knots, ms },
    perSequence: { at: [0, 1], ms: [0, perSequence] },
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: perContextToken },
    prefillAttention: { fixedMs: prefillFixed, msPerToken: 0, msPerPair: perPair },
  };
}

/** A coefficient whose standard error is larger than half of what it could be worth is not known. */
const worthKnowing = 0.02;

/**
 * Names each coefficient the observations do not fix: those no observation depends on, and those whose standard error
 * moves some observation by more than a few percent. What goes together with it in all observations is named beside it.
 */
function undeterminedOf({ columns, rows, weights, errors }: Solved, observations: readonly StepObservation[]): string[] {
  const weighted = rows.map((row, i) => row.map((value) => value * (weights[i] ?? 1)));
  const present = columns.map((_, k) => k).filter((k) => weighted.some((row) => (row[k] ?? 0) !== 0));
  const found = columns.flatMap(({ name }, k) => (present.includes(k) ? [] : [`${name}: no step shows it`]));
  const noise = errors.reduce((sum, error, i) => sum + (error * (weights[i] ?? 1)) ** 2, 0) / Math.max(1, rows.length - present.length);
  for (const k of present) {
    const others = present.filter((j) => j !== k);
    const left = unexplained(weighted, k, others);
    const own = weighted.reduce((sum, row) => sum + (row[k] ?? 0) ** 2, 0);
    // The share of an observation that one standard error of this coefficient moves, at the observation that needs it most.
    const most = Math.max(...rows.map((row) => row[k] ?? 0));
    const share = left <= 1e-9 * own ? Number.POSITIVE_INFINITY : Math.sqrt(Math.max(noise, 1e-8) / left) * most;
    if (share > worthKnowing * 2.5) found.push(`${columns[k]?.name ?? ''}: ${reasonFor(weighted, k, others, columns)}`);
  }
  const batches = observations.flatMap(({ steps }) => steps.map(({ batch }) => batch));
  const most = (of: (batch: StepBatch) => number) => batches.reduce((top, batch) => Math.max(top, of(batch)), 0);
  found.push(
    `steps beyond ${most((batch) => batch.decodes)} decoding sequences, ${most((batch) => batch.prefillTokens)} prompt tokens or ` +
      `${Math.round(most((batch) => batch.decodeContextTokens))} tokens of context: none was seen, so they are extrapolated`,
    'how much of the fixed time is work of the host: time alone does not split it from reading the weights',
  );
  return found;
}

/** Sum of squares of column k that no combination of the others gives. */
function unexplained(rows: readonly (readonly number[])[], k: number, others: readonly number[]): number {
  const dot = (a: number, b: number) => rows.reduce((sum, row) => sum + (row[a] ?? 0) * (row[b] ?? 0), 0);
  const scale = others.map((j) => 1 / Math.sqrt(dot(j, j)));
  const gram = others.map((a, i) => others.map((b, j) => dot(a, b) * (scale[i] ?? 1) * (scale[j] ?? 1) + (i === j ? 1e-10 : 0)));
  const moment = others.map((a, i) => dot(a, k) * (scale[i] ?? 1));
  const solution = solveSymmetric(gram, moment) ?? [];
  return Math.max(0, dot(k, k) - solution.reduce((sum, value, i) => sum + value * (moment[i] ?? 0), 0));
}

function reasonFor(rows: readonly (readonly number[])[], k: number, others: readonly number[], columns: readonly Column[]): string {
  const norm = (a: number, b: number) => rows.reduce((sum, row) => sum + (row[a] ?? 0) * (row[b] ?? 0), 0);
  const likeness = others.map((j) => ({ j, cosine: norm(j, k) / Math.sqrt(norm(j, j) * norm(k, k)) }));
  const nearest = likeness.reduce((a, b) => (b.cosine > a.cosine ? b : a), { j: -1, cosine: 0 });
  return nearest.cosine > 0.9
    ? `it always goes together with ${columns[nearest.j]?.name ?? 'another'}`
    : 'too few steps show it, or they scatter too much';
}
