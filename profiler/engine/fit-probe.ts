import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { EngineArgs } from '../../runtime/llm/engine/step-time.ts';
import { fitBySimulation, type SimulatedFit, type WatchedRequest } from './fit-simulate.ts';
import type { ProbedRequest, ProbedRound, ProbeRun } from './probe.ts';

/** What the probing run says of an endpoint beside its step times. */
export interface EndpointLimits {
  /** Sequences it computes at a time; undefined when it took all that were asked. */
  readonly maxNumSeqs?: number;
  /** Most sequences seen at a time. */
  readonly mostSeen: number;
  /** Tokens per step; undefined where it makes no difference to what was seen. */
  readonly maxNumBatchedTokens?: number;
}

export interface ProbeFit {
  readonly coefficients: StepCoefficients;
  /** Time of a request outside the engine: connection, HTTP, tokenizer. A client waits for it once, before the first token. */
  readonly overheadMs: number;
  readonly limits: EndpointLimits;
  /** The arguments the fit was made with: limits found, and bounds that never bind where none was. */
  readonly args: EngineArgs;
  readonly medianErrorShare: number;
  readonly p90ErrorShare: number;
  readonly compared: number;
  readonly undetermined: readonly string[];
}

/** Powers of two that engines use. */
const budgets = [128, 256, 512, 1024, 2048, 4096, 8192];
/** How far a client’s clock and event loop are off, in ms. */
const floorMs = 5;
/** Where matrix products on a processor become cheaper per token, having enough of them to fill its tiles. */
const bend = 32;
/** A budget, or a bend, must explain that much more than none to be believed. */
const believable = 0.9;

/**
 * Step times and limits of an endpoint from a probing run: each round is simulated with its arrivals, and coefficients are
 * moved until first tokens and decode times come out as seen. The number of sequences is read from how many replies ever
 * ran at a time while others waited; the tokens per step are those under which the simulation comes closest.
 */
export function fitProbe(run: ProbeRun, known: Partial<EngineArgs> = {}): ProbeFit {
  const groups = run.rounds.map(({ requests }) => requests.map(watch));
  const seqs = sequencesSeen(run.rounds);
  const longest = Math.max(...groups.flat().map(({ tokensIn }) => tokensIn));
  const together = Math.max(...run.rounds.map(({ requests }) => requests.length));
  const argsFor = (maxNumBatchedTokens: number): EngineArgs => ({
    maxNumSeqs: known.maxNumSeqs ?? seqs.limit ?? Math.max(1, together),
    maxNumBatchedTokens: Math.max(maxNumBatchedTokens, known.maxNumSeqs ?? seqs.limit ?? together),
    blockSize: 16,
    kvBlocks: known.kvBlocks ?? Math.ceil(groups.flat().reduce((sum, { tokensIn, tokensOut }) => sum + tokensIn + tokensOut + 16, 0) / 16),
    prefixCaching: false,
    tensorParallelSize: known.tensorParallelSize ?? 1,
    dataParallelSize: 1,
    expertParallel: false,
    ...(known.asyncScheduling === undefined ? {} : { asyncScheduling: known.asyncScheduling }),
  });
  const start = guess(run.rounds);
  const fitWith = (budget: number, from: StepCoefficients, overheadMs: number, rounds: number, knee: number) =>
    fitBySimulation({ groups, args: argsFor(budget), start: from, knee, overheadMs, floorMs, rounds });
  // Without a limit first: a budget no prompt of the run reaches.
  const openBudget = known.maxNumBatchedTokens ?? unlimited(longest * together);
  const open = fitWith(openBudget, start.coefficients, start.overheadMs, 10, 1);
  const tried =
    known.maxNumBatchedTokens === undefined
      ? budgets
          .filter((budget) => budget < longest * 2)
          .map((budget) => ({ budget, fit: fitWith(budget, open.coefficients, open.overheadMs, 6, 1) }))
      : [];
  const best = tried.reduce<{ budget: number; fit: SimulatedFit } | undefined>(
    (a, b) => (a && a.fit.loss <= b.fit.loss ? a : b),
    undefined,
  );
  const found = best && best.fit.loss < open.loss * believable ? best : undefined;
  const budget = known.maxNumBatchedTokens ?? found?.budget;
  const straight = found?.fit ?? open;
  const bent = fitWith(budget ?? openBudget, straight.coefficients, straight.overheadMs, 12, bend);
  const fit = bent.loss < straight.loss * believable ? bent : straight;
  const errors = [...fit.firstErrors, ...fit.decodeErrors].map(Math.abs).sort((a, b) => a - b);
  const quantile = (share: number) => errors[Math.min(errors.length - 1, Math.floor(share * errors.length))] ?? 0;
  return {
    coefficients: fit.coefficients,
    overheadMs: fit.overheadMs,
    limits: {
      ...(seqs.limit === undefined ? {} : { maxNumSeqs: seqs.limit }),
      mostSeen: seqs.most,
      ...(budget === undefined ? {} : { maxNumBatchedTokens: budget }),
    },
    args: argsFor(budget ?? openBudget),
    medianErrorShare: quantile(0.5),
    p90ErrorShare: quantile(0.9),
    compared: groups.flat().length,
    undetermined: [
      ...fit.undetermined,
      ...(seqs.limit === undefined && known.maxNumSeqs === undefined
        ? [`how many sequences it computes at a time: at least ${seqs.most}, for none of that many had to wait`]
        : []),
      ...(budget === undefined ? [`tokens per step: no limit shows in prompts of up to ${longest} tokens`] : []),
      'the size of its KV cache: the probing run does not fill it',
      'prefix caching: every prompt was new',
      'how much of the fixed time is work of the host: time alone does not split it from reading the weights',
    ],
  };
}

const unlimited = (tokens: number) => 2 ** Math.ceil(Math.log2(Math.max(tokens, 16)));

const watch = ({ sentMs, firstMs, lastMs, tokensIn, tokensOut, tokensCached }: ProbedRequest): WatchedRequest => ({
  atMs: sentMs,
  tokensIn,
  tokensOut,
  ...(tokensCached === undefined ? {} : { tokensCached }),
  firstMs: firstMs - sentMs,
  decodeMs: lastMs - firstMs,
});

/**
 * The most replies between first and last token at one time. A limit is believed where, in several rounds, more requests
 * were in flight and some waited until another reply had ended.
 */
function sequencesSeen(rounds: readonly ProbedRound[]): { readonly most: number; readonly limit?: number } {
  const seen = rounds.map(({ requests }) => ({
    running: mostAtOnce(requests.map(({ firstMs, lastMs }) => [firstMs, lastMs])),
    inFlight: mostAtOnce(requests.map(({ sentMs, lastMs }) => [sentMs, lastMs])),
  }));
  const most = Math.max(...seen.map(({ running }) => running));
  const crowded = seen.filter(({ inFlight }) => inFlight > most);
  const capped = crowded.filter(({ running }) => running === most);
  return capped.length >= 1 && crowded.length >= 2 ? { most, limit: most } : { most };
}

function mostAtOnce(spans: readonly (readonly [number, number])[]): number {
  const marks = spans.flatMap(([from, to]) => [
    { ms: from, by: 1 },
    { ms: to, by: -1 },
  ]);
  let now = 0;
  let most = 0;
  for (const { by } of marks.sort((a, b) => a.ms - b.ms || a.by - b.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

/** From requests that were alone: a straight line of first tokens over prompt lengths, and the median time per token. */
function guess(rounds: readonly ProbedRound[]): { readonly coefficients: StepCoefficients; readonly overheadMs: number } {
  const alone = rounds.flatMap(({ requests }) => (requests.length === 1 ? requests : []));
  const all = alone.length >= 2 ? alone : rounds.flatMap(({ requests }) => requests);
  const gaps = all.filter(({ tokensOut }) => tokensOut > 1).map(({ firstMs, lastMs, tokensOut }) => (lastMs - firstMs) / (tokensOut - 1));
  const stepMs = Math.max(0.01, median(gaps));
  const [shortest, longest] = [
    all.reduce((a, b) => (b.tokensIn < a.tokensIn ? b : a)),
    all.reduce((a, b) => (b.tokensIn > a.tokensIn ? b : a)),
  ];
  const first = (like: ProbedRequest) =>
    median(all.filter(({ tokensIn }) => Math.abs(tokensIn - like.tokensIn) <= 2).map((r) => r.firstMs - r.sentMs));
  const perToken = Math.max(stepMs / 1000, (first(longest) - first(shortest)) / Math.max(1, longest.tokensIn - shortest.tokensIn));
  return {
    coefficients: {
      hostMs: 0,
      hostMsPerSequence: 0,
      dense: { at: [1, 512], ms: [stepMs * 0.8, stepMs * 0.8 + perToken * 511] },
      perSequence: { at: [0, 1], ms: [0, stepMs * 0.1] },
      decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: (stepMs * 0.1) / Math.max(16, longest.tokensIn) },
      prefillAttention: { fixedMs: stepMs * 0.1, msPerToken: 0, msPerPair: 0 },
    },
    overheadMs: Math.max(0.5, first(shortest) - stepMs - perToken * shortest.tokensIn),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
