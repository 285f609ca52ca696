import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { ModelShape } from '../../runtime/llm/engine/model-shapes.ts';
import type { OperatorTables } from '../../runtime/llm/engine/operator-tables.ts';
import { valueAt } from '../../runtime/llm/engine/step-times.ts';
import { type Link, paddingTo } from '../../runtime/llm/engine/step-times-operators.ts';
import { fitCurve } from './fit-curve.ts';
import { nonNegativeLeastSquares } from './fit-solve.ts';

export interface TimingsFitArgs {
  readonly tables: OperatorTables;
  readonly shape: ModelShape;
  /** Between tensor-parallel ranks; not needed for one. */
  readonly link: Link;
  /** Token counts that steps are padded to, rising; none: no padding. */
  readonly captureSizes: readonly number[];
  readonly hostMs: number;
  /** Tokens of KV cache there are: larger batches were measured, but never run. */
  readonly kvTokens: number;
}

export interface TimingsFit {
  readonly coefficients: StepCoefficients;
  /** (coefficients − timings) / timings of a whole step, over all measured shapes of batches: absolute values. */
  readonly medianErrorShare: number;
  readonly p90ErrorShare: number;
  /** Shapes of batches compared. */
  readonly compared: number;
  readonly undetermined: readonly string[];
}

/** Curves are kept to within this, root mean square; kernels step with tile sizes, and a knot per step would be the table again. */
const curveErrorShare = 0.01;
const mostKnots = 24;

/**
 * Step coefficients from operator timings: a dense curve of few knots; logits and sampling; attention as a linear function
 * of sequences, context, prompt tokens and query-key pairs, by least squares in which every measured shape of a batch
 * weighs by the time of its whole step.
 */
export function fitFromTimings({ tables, shape, link, captureSizes, hostMs, kvTokens }: TimingsFitArgs): TimingsFit {
  const { layers, hidden } = shape;
  const tp = tables.tensorParallelSize;
  const padded = captureSizes.length === 0 ? (tokens: number) => tokens : paddingTo(captureSizes);
  const reduceMs = (tokens: number) =>
    tp === 1 ? 0 : 2 * (tp - 1) * (link.latencyNs / 1e6 + (tokens * hidden * 2) / tp / (link.bandwidthGbPerS * 1e6));
  const denseMs = (tokens: number) => {
    const size = padded(tokens);
    return layers * (valueAt(tables.layer, size) + 2 * reduceMs(size)) + valueAt(tables.ends, size);
  };
  const sizes = [...new Set([...tables.layer.at, ...captureSizes.filter((size) => size <= (tables.layer.at.at(-1) ?? 0))])];
  const dense = fitCurve(
    sizes.map((at) => ({ at, ms: denseMs(at) })),
    curveErrorShare,
    mostKnots,
  );
  const perSequence = fitCurve(
    tables.perSequence.at.map((at, index) => ({ at, ms: tables.perSequence.ms[index] ?? 0 })),
    curveErrorShare,
    mostKnots / 3,
  );
  const rows = tables.attention
    .filter(
      ({ prefillTokens, prefillContext, decodes, decodeContext }) => prefillTokens + prefillContext + decodes * decodeContext <= kvTokens,
    )
    .map((point): Row => {
      const { prefillTokens, prefillContext, decodes, decodeContext, ms } = point;
      const samples = decodes + (prefillTokens > 0 ? 1 : 0);
      return {
        decode: [decodes > 0 ? 1 : 0, decodes, decodes * decodeContext],
        prefill: [prefillTokens > 0 ? 1 : 0, prefillTokens, prefillTokens * (prefillContext + (prefillTokens + 1) / 2)],
        attentionMs: layers * ms,
        restMs: hostMs + denseMs(decodes + prefillTokens) + valueAt(tables.perSequence, samples),
        fittedRestMs: hostMs + valueAt(dense, decodes + prefillTokens) + valueAt(perSequence, samples),
      };
    });
  if (rows.length === 0) throw new RangeError(`no batch of at most ${kvTokens} tokens was measured`);
  const [decodeFixed = 0, perDecode = 0, perContext = 0] = fitTerms(
    rows.filter(isDecode),
    (row) => row.decode,
    () => 0,
  );
  const [prefillFixed = 0, perToken = 0, perPair = 0] = fitTerms(
    rows.filter(isPrefill),
    (row) => row.prefill,
    () => 0,
  );
  const alone = ({ decode, prefill }: Row) =>
    decodeFixed * at(decode, 0) +
    perDecode * at(decode, 1) +
    perContext * at(decode, 2) +
    prefillFixed * at(prefill, 0) +
    perToken * at(prefill, 1) +
    perPair * at(prefill, 2);
  const [together = 0] = fitTerms(
    rows.filter((row) => !isDecode(row) && !isPrefill(row)),
    (row) => [at(row.decode, 2)],
    alone,
  );
  const errors = rows
    .map((row) => {
      const beside = at(row.prefill, 0) > 0 ? together * at(row.decode, 2) : 0;
      return Math.abs((row.fittedRestMs + alone(row) + beside) / (row.attentionMs + row.restMs) - 1);
    })
    .sort((a, b) => a - b);
  const quantile = (share: number) => errors[Math.min(errors.length - 1, Math.floor(share * errors.length))] ?? 0;
  return {
    coefficients: {
      hostMs,
      hostMsPerSequence: 0,
      dense,
      perSequence,
      decodeAttention: { fixedMs: decodeFixed, msPerSequence: perDecode, msPerContextToken: perContext },
      prefillAttention: { fixedMs: prefillFixed, msPerToken: perToken, msPerPair: perPair, msPerDecodeContextToken: together },
    },
    medianErrorShare: quantile(0.5),
    p90ErrorShare: quantile(0.9),
    compared: errors.length,
    undetermined: [
      ...(hostMs === 0 ? ['work of the host between steps: operator timings do not hold it, and none was given'] : []),
      'decoding sequences of very unequal length in one step: attention was measured with equal ones',
      ...(tp > 1 ? ['sums over ranks: computed from the link, not measured'] : []),
    ],
  };
}

/** Attention of one measured batch: what it depends on, for decodes (any, sequences, context) and prompts (any, tokens, pairs). */
interface Row {
  readonly decode: readonly number[];
  readonly prefill: readonly number[];
  readonly attentionMs: number;
  readonly restMs: number;
  readonly fittedRestMs: number;
}

const at = (values: readonly number[], index: number) => values[index] ?? 0;
const isDecode = ({ prefill }: Row) => prefill[0] === 0;
const isPrefill = ({ decode }: Row) => decode[0] === 0;

/** Each row weighs by the time of its whole step, since that is what must come out right. */
function fitTerms(rows: readonly Row[], termsOf: (row: Row) => readonly number[], known: (row: Row) => number): number[] {
  return nonNegativeLeastSquares(
    rows.map((row) => termsOf(row).map((term) => term / (row.attentionMs + row.restMs))),
    rows.map((row) => (row.attentionMs - known(row)) / (row.attentionMs + row.restMs)),
  );
}
