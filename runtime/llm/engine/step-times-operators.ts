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
  /** Token counts that steps are padded to, rising; steps of more tokens are not padded. */
  readonly captureSizes: readonly number[];
  /** Data-parallel ranks that bring their tokens together for the experts of each layer; 1: none. */
  readonly expertRanks: number;
  /** Whether each of them holds whole experts; else a slice of every one. */
  readonly expertParallel: boolean;
  /** Between steps, what neither overlaps with them nor is in the tables. */
  readonly hostMs: number;
}

/** Bytes of one number in activations. */
const activationBytes = 2;
/** Reading another GPU's memory over PCIe reaches about two thirds of the rate of writing to it: each read waits for its answer. */
const readShare = 2 / 3;

/**
 * A step as the sum of its kernels, each measured alone: a layer's operators by the tokens in the step, times the layers;
 * attention by the shape of the batch; experts by tokens and the number of distinct experts they are expected to choose;
 * output head and sampler by sequences sampled; what ranks exchange by the link between them.
 */
export function operatorStepTime(args: OperatorStepArgs): StepTime {
  const { tables, shape, link, captureSizes, expertRanks, expertParallel, hostMs } = args;
  const attentionMs = attentionTime(tables);
  const { layers, hidden } = shape;
  const tp = tables.tensorParallelSize;
  const padded = paddingTo(captureSizes);
  const bytesPerMs = link.bandwidthGbPerS * 1e6;
  const latencyMs = link.latencyNs / 1e6;

  /** The faster of a ring, two rounds of n − 1 messages of an n-th of the data, and everybody reading the data of all others. */
  function allReduceMs(tokens: number): number {
    if (tp === 1) return 0;
    const bytes = tokens * hidden * activationBytes;
    return (tp - 1) * Math.min(2 * (latencyMs + bytes / tp / bytesPerMs), bytes / (bytesPerMs * readShare));
  }
  /** Each rank has the logits of its part of the vocabulary; all are brought together. */
  const logitsMs = (samples: number) =>
    tp === 1 ? 0 : (tp - 1) * (latencyMs + (samples * shape.vocab * activationBytes) / tp / bytesPerMs);

  const expertMs = tables.experts && expertTime(tables.experts, shape, tp, expertRanks, expertParallel);
  /** Hidden states of every rank's tokens go to all ranks before the experts, sums of them back after. */
  const exchangeMs = (tokens: number) =>
    expertRanks === 1 ? 0 : 2 * (expertRanks - 1) * (latencyMs + (tokens * hidden * activationBytes) / bytesPerMs);

  const ownLayerMs = (batch: StepBatch, tokens: number) => valueAt(tables.layer, tokens) + attentionMs(batch);
  const endsMs = ({ samples }: StepBatch, tokens: number) =>
    valueAt(tables.ends, tokens) + (samples > 0 ? valueAt(tables.perSequence, samples) + logitsMs(samples) : 0);

  function groupStepMs(batches: readonly StepBatch[]): number {
    let most = 0;
    for (const batch of batches) most = Math.max(most, batch.decodes + batch.prefillTokens);
    // Ranks agree on one captured size; a rank without work computes a dummy of one token.
    const graph = padded(most);
    let layerMs = 0;
    let ends = 0;
    let all = 0;
    for (const batch of batches) {
      const tokens = most <= largestOf(captureSizes) ? graph : Math.max(1, batch.decodes + batch.prefillTokens);
      all += tokens;
      layerMs = Math.max(layerMs, ownLayerMs(batch, tokens));
      ends = Math.max(ends, endsMs(batch, tokens));
    }
    const summed = 2 * allReduceMs(graph);
    return layers * (layerMs + summed + exchangeMs(graph) + (expertMs ? expertMs(all) : 0)) + ends + hostMs;
  }

  function stepMs(batch: StepBatch): number {
    const tokens = padded(batch.decodes + batch.prefillTokens);
    const layerMs = ownLayerMs(batch, tokens) + 2 * allReduceMs(tokens) + (expertMs ? expertMs(tokens) : 0);
    return layers * layerMs + endsMs(batch, tokens) + hostMs;
  }
  return { stepMs, groupStepMs };
}

/**
 * One layer's experts for the tokens of all ranks. With uniform routing `tokens` tokens that choose k of E experts leave
 * each expert unused with probability (1 − k/E)^tokens. A rank with an n-th of the experts has an n-th of the work.
 */
function expertTime(
  points: NonNullable<OperatorTables['experts']>,
  { experts, expertsPerToken }: ModelShape,
  tp: number,
  ranks: number,
  whole: boolean,
): (tokens: number) => number {
  const table = nest(points.map(({ tokens, experts: chosen, ms }) => ({ coordinates: [tokens, chosen], ms })));
  const at = [0, 0];
  return (tokens) => {
    const chosen = Math.max(expertsPerToken, experts * (1 - (1 - expertsPerToken / experts) ** tokens));
    const shared = whole ? tp * ranks : 1;
    at[0] = Math.max(1, tokens / shared);
    at[1] = Math.max(1, chosen / shared);
    return interpolate(table, at) / (whole ? 1 : tp * ranks);
  };
}

const largestOf = (captureSizes: readonly number[]) => captureSizes[captureSizes.length - 1] ?? 0;

/** The number of tokens a step really computes. */
export function paddingTo(captureSizes: readonly number[]): (tokens: number) => number {
  const largest = largestOf(captureSizes);
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
  /** Context, decodes, their context: written before each look-up. */
  const at3 = [0, 0, 0];
  const at2 = [0, 0];

  /** `kp` may be below zero: several short chunks attend to less than one long one. */
  function atContext(node: Axis, kp: number): number {
    const from = (x: number) => {
      at3[0] = x;
      return interpolate(node, at3);
    };
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

  function atDecodes(decodes: number, context: number): number {
    at2[0] = decodes;
    at2[1] = context;
    return interpolate(decode, at2);
  }

  const uniform = (batch: StepBatch, context: number) => {
    const { decodes, prefillTokens, prefillPairs } = batch;
    if (prefillTokens === 0) return decodes === 0 ? 0 : atDecodes(decodes, context);
    const mean = prefillPairs / prefillTokens;
    const chunks = ofChunks(prefill, prefillTokens, mean);
    if (decodes === 0) return chunks;
    at3[1] = decodes;
    at3[2] = context;
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
