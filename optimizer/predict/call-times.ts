import { deriveSeed } from '../../compiler/contracts/index.ts';
import { planArrivals } from './arrival-plan.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { createEnginePool, isSaturated, type PoolCall, type PoolSetup } from './engine-pool.ts';
import { createEventCore } from './event-core.ts';
import type { PredictorInput } from './input.ts';
import { outside } from './layout.ts';

/** Model calls as they come when every one takes as long as it was measured: what all pools are compared on. */
export interface CallTimeline {
  /** In order of time. */
  readonly calls: readonly { readonly row: number; readonly request: number; readonly atMs: number }[];
  readonly horizonMs: number;
  /** False where a closed loop makes the calls: then nothing piles up. */
  readonly open: boolean;
}

const defaultCalls = 3_000;

/**
 * The calls of some of the requests of the simulated tier, each made when it would be if nothing of ours made a request
 * wait: no layout is decided yet.
 */
export function callTimeline(input: PredictorInput, compiled: CompiledProfile): CallTimeline {
  const modelCalls = compiled.callModel.reduce((sum, model) => sum + (model >= 0 ? 1 : 0), 0);
  const perRequest = modelCalls / Math.max(1, compiled.skeletonClass.length);
  const wanted = (input.engines?.calls ?? defaultCalls) / Math.max(1e-9, perRequest);
  const requests = Math.max(50, Math.min(input.requests ?? 2_000, Math.ceil(wanted)));
  const arrivals = planArrivals(compiled, input.workload, requests, deriveSeed(input.seed, 'simulated'));
  const run = createEventCore({ compiled, arrivals, hostCores: Number.POSITIVE_INFINITY, ingressCpuMs: 0, seed: 0 });
  const { modelCalls: calls } = run({
    unitOf: new Int32Array(compiled.components.length).fill(outside),
    unitIds: [],
    replicas: new Int32Array(0),
    hops: compiled.edges.map(() => null),
  });
  return {
    calls: calls.map(({ call: row, request, atMs }) => ({ row, request, atMs })),
    horizonMs: arrivals.horizonMs,
    open: arrivals.closed.length === 0,
  };
}

/** Far longer than any call takes. */
const apartMs = 1e8;

/** Each of these calls with the engine to itself. */
export const oneByOne = (rows: readonly number[]): CallTimeline => ({
  calls: rows.map((row, i) => ({ row, request: i, atMs: i * apartMs })),
  horizonMs: rows.length * apartMs,
  open: false,
});

/** What a pool made of its calls, by their rows. */
export interface PoolTimes {
  readonly rows: readonly number[];
  readonly callMs: Float64Array;
  readonly firstMs: Float64Array;
  readonly queuedMs: number;
  readonly saturated: boolean;
}

export interface PoolRun {
  readonly rows: readonly number[];
  readonly setup: PoolSetup;
  readonly scale: number;
  readonly extraMs: number;
}

/**
 * Runs the calls of one pool through its engines at the times of the timeline; a row that comes several times gets the
 * mean of what it took, one that never comes the pool's mean share of its measured time.
 */
export function poolTimes(
  compiled: CompiledProfile,
  timeline: CallTimeline,
  { rows, setup, scale, extraMs }: PoolRun,
  callOf: (row: number, request: number, setup: PoolSetup) => PoolCall,
): PoolTimes {
  const place = new Map(rows.map((row, i) => [row, i]));
  const calls = timeline.calls.filter(({ row }) => place.has(row));
  const engine = createEnginePool(setup, scale, timeline.horizonMs);
  const sums = { call: new Float64Array(rows.length), first: new Float64Array(rows.length), n: new Float64Array(rows.length) };
  const firstAt = new Float64Array(calls.length);
  const first = (tag: number, atMs: number) => {
    firstAt[tag] = atMs;
  };
  let [before, after] = [0, 0];
  const done = (tag: number, atMs: number) => {
    const call = calls[tag] as (typeof calls)[number];
    const i = place.get(call.row) as number;
    sums.n[i] = (sums.n[i] as number) + 1;
    sums.call[i] = (sums.call[i] as number) + atMs - call.atMs;
    sums.first[i] = (sums.first[i] as number) + (firstAt[tag] as number) - call.atMs;
    before += compiled.callModelMs[call.row] as number;
    after += atMs - call.atMs;
  };
  calls.forEach(({ row, request, atMs }, tag) => {
    while (engine.nextAtMs() <= atMs) engine.advanceTo(engine.nextAtMs(), first, done);
    engine.submit(tag, callOf(row, request, setup), atMs);
  });
  while (engine.nextAtMs() < Number.POSITIVE_INFINITY) engine.advanceTo(engine.nextAtMs(), first, done);
  const ratio = before > 0 ? after / before : 1;
  const callMs = new Float64Array(rows.length);
  const firstMs = new Float64Array(rows.length);
  rows.forEach((row, i) => {
    const n = sums.n[i] as number;
    callMs[i] = extraMs + (n > 0 ? (sums.call[i] as number) / n : (compiled.callModelMs[row] as number) * ratio);
    firstMs[i] = n > 0 ? extraMs + (sums.first[i] as number) / n : (callMs[i] as number);
  });
  const facts = engine.facts();
  return { rows, callMs, firstMs, queuedMs: facts.queuedMs, saturated: facts.refused > 0 || (timeline.open && isSaturated(facts)) };
}

const shared = new WeakMap<CompiledProfile, ReadonlySet<string>>();

/** Prefixes that stand in the prompts of more than one request: the others are new in every request that is replayed. */
function sharedPrefixes(compiled: CompiledProfile): ReadonlySet<string> {
  let known = shared.get(compiled);
  if (!known) {
    const seenIn = new Map<string, number>();
    const several = new Set<string>();
    const requestOf = skeletonOfCalls(compiled);
    compiled.callPrefix.forEach((prefix, row) => {
      for (const { key } of prefix ?? []) {
        const skeleton = requestOf[row] as number;
        const first = seenIn.get(key);
        if (first === undefined) seenIn.set(key, skeleton);
        else if (first !== skeleton) several.add(key);
      }
    });
    known = several;
    shared.set(compiled, known);
  }
  return known;
}

function skeletonOfCalls(compiled: CompiledProfile): Int32Array {
  const out = new Int32Array(compiled.callModel.length);
  for (let skeleton = 0; skeleton + 1 < compiled.skeletonVisit.length; skeleton++) {
    for (let visit = compiled.skeletonVisit[skeleton] as number; visit < (compiled.skeletonVisit[skeleton + 1] as number); visit++) {
      const [from, to] = [compiled.visitPhase[visit] as number, compiled.visitPhase[visit + 1] as number];
      for (let call = compiled.phaseCall[from] as number; call < (compiled.phaseCall[to] as number); call++) out[call] = skeleton;
    }
  }
  return out;
}

/**
 * A call as an engine gets it. Where the traces say the prompt's growing prefixes each full block gets the key of the
 * shortest of them that covers it, and its number; prefixes of one request alone are another one in each replay of it.
 * Without them the measured number of cached tokens stands.
 */
export function poolCalls(
  compiled: CompiledProfile,
  known: Map<number, PoolCall>,
  row: number,
  request: number,
  prefixBlock: number,
): PoolCall {
  const parts = prefixBlock > 0 ? compiled.callPrefix[row] : undefined;
  const found = known.get(row);
  if (found && !parts) return found;
  const tokensIn = Math.max(1, compiled.callTokensIn[row] as number);
  const tokensCached = prefixBlock > 0 ? Math.min(compiled.callTokensCached[row] as number, tokensIn) : 0;
  const call = { tokensIn, tokensCached, tokensOut: Math.max(1, compiled.callTokensOut[row] as number) };
  if (!parts) {
    known.set(row, call);
    return call;
  }
  const common = sharedPrefixes(compiled);
  const prefix: string[] = [];
  for (const { key, tokens } of parts) {
    const name = common.has(key) ? key : `${key}/${request}`;
    for (let end = (prefix.length + 1) * prefixBlock; end <= Math.min(tokens, tokensIn); end += prefixBlock)
      prefix.push(`${name}:${prefix.length}`);
  }
  return { ...call, prefix };
}
