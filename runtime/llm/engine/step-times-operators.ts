import type { ModelShape } from './model-shapes.ts';
import { type Axis, interpolate, nest, type OperatorTables, pieceOf } from './operator-tables.ts';
import type { StepBatch, StepTime } from './step-time.ts';
import { valueAt } from './step-times.ts';

export interface Link {
  /** 1e9 bytes per second, one direction. */
  readonly bandwidthGbPerS: number;
  readonly latencyNs: number;
}

export interface OperatorStepArgs {
  readonly tables: OperatorTables;
  readonly shape: ModelShape;
  readonly link: Link;
  /** Token counts that decode steps are padded to, rising; steps of more tokens are not padded. */
  readonly captureSizes: readonly number[];
  /** Ranks that share the experts and step together; 1: none. */
  readonly expertRanks: number;
  /** Between steps, what neither overlaps with them nor is in the tables. */
  readonly hostMs: number;
}

/** Bytes of one number in activations. */
const activationBytes = 2;

/**
 * A step as the sum of its kernels, each measured alone: a layer's operators by the tokens in the step, times the layers;
 * attention by the shape of the batch; output head and sampler by sequences sampled; sums over tensor-parallel ranks by
 * the link between them.
 */
export function operatorStepTime({ tables, shape, link, captureSizes, expertRanks, hostMs }: OperatorStepArgs): StepTime {
  const attentionMs = attentionTime(tables);
  const { layers, hidden } = shape;
  const tp = tables.tensorParallelSize;
  const padded = paddingTo(captureSizes);

  /** A ring: two rounds of n − 1 messages, each an n-th of the data. */
  const allReduceMs = (tokens: number) =>
    tp === 1 ? 0 : 2 * (tp - 1) * (link.latencyNs / 1e6 + (tokens * hidden * activationBytes) / tp / (link.bandwidthGbPerS * 1e6));

  function stepMs(batch: StepBatch): number {
    const tokens = padded(batch.decodes + batch.prefillTokens);
    const layerMs = valueAt(tables.layer, tokens) + attentionMs(batch) + 2 * allReduceMs(tokens);
    return layers * layerMs + valueAt(tables.ends, tokens) + (batch.samples > 0 ? valueAt(tables.perSequence, batch.samples) : 0) + hostMs;
  }
  return { stepMs };
}

/** The number of tokens a step really computes. */
export function paddingTo(captureSizes: readonly number[]): (tokens: number) => number {
  const largest = captureSizes[captureSizes.length - 1] ?? 0;
  const sizes = new Int32Array(largest + 1);
  let index = 0;
  for (let tokens = 0; tokens <= largest; tokens++) {
    while ((captureSizes[index] as number) < tokens) index++;
    sizes[tokens] = captureSizes[index] as number;
  }
  return (tokens) => (tokens <= largest ? (sizes[tokens] as number) : tokens);
}

/** Attention of one layer for any batch. */
function attentionTime({ attention, skew = 0 }: OperatorTables): (batch: StepBatch) => number {
  const points = (of: (point: (typeof attention)[number]) => readonly number[], which: (point: (typeof attention)[number]) => boolean) =>
    nest(attention.filter(which).map((point) => ({ coordinates: of(point), ms: point.ms })));
  const decode = points(
    ({ decodes, decodeContext }) => [decodes, decodeContext],
    ({ prefillTokens }) => prefillTokens === 0,
  );
  const prefill = points(
    ({ prefillTokens, prefillContext }) => [prefillTokens, prefillContext],
    ({ decodes }) => decodes === 0,
  );
  const mixed = points(
    ({ prefillTokens, prefillContext, decodes, decodeContext }) => [prefillTokens, prefillContext, decodes, decodeContext],
    ({ prefillTokens, decodes }) => prefillTokens > 0 && decodes > 0,
  );
  const rest = [0, 0];

  /** `kp` may be below zero: several short chunks attend to less than one long one. */
  function atContext(node: Axis, kp: number): number {
    const from = (x: number) => interpolate(node, [x, ...rest]);
    if (kp >= 0) return from(kp);
    const reach = node.at.find((x) => x >= 512) ?? (node.at[node.at.length - 1] as number);
    const start = from(0);
    if (reach === 0) return start;
    return Math.max(start / 4, start + ((from(reach) - start) / reach) * kp);
  }

  /** Of a chunk of `tokens` whose tokens attend to `mean` others on average; linear at equal mean, where time goes with pairs. */
  function ofChunks(axis: Axis, tokens: number, mean: number): number {
    const { at, below } = axis;
    const x = Math.max(tokens, at[0] as number);
    const low = pieceOf(at, x);
    const x0 = at[low] as number;
    const first = atContext(below[low] as Axis, mean - x0 / 2);
    if (at.length === 1 || x <= x0) return first;
    const x1 = at[low + 1] as number;
    return first + ((x - x0) / (x1 - x0)) * (atContext(below[low + 1] as Axis, mean - x1 / 2) - first);
  }

  const uniform = (batch: StepBatch, context: number) => {
    const { decodes, prefillTokens, prefillPairs } = batch;
    if (prefillTokens === 0) return decodes === 0 ? 0 : interpolate(decode, [decodes, context]);
    const mean = prefillPairs / prefillTokens;
    const chunks = ofChunks(prefill, prefillTokens, mean);
    if (decodes === 0) return chunks;
    rest[0] = decodes;
    rest[1] = context;
    const { prefillChunkMax } = batch;
    const largest = prefillChunkMax === prefillTokens ? chunks : ofChunks(prefill, prefillChunkMax, mean);
    return chunks + Math.max(0, ofChunks(mixed, prefillChunkMax, mean) - largest);
  };

  return (batch) => {
    const { decodes, decodeContextTokens, decodeContextMax } = batch;
    const mean = decodes > 0 ? decodeContextTokens / decodes : 0;
    const atMean = uniform(batch, mean);
    return skew > 0 && decodeContextMax > mean ? atMean + skew * (uniform(batch, decodeContextMax) - atMean) : atMean;
  };
}
