import {
  type Block,
  type Configuration,
  type LoadHistogram,
  type PoolLoad,
  type PoolUse,
  type Prediction,
  type Profile,
  type Provenance,
  weakest,
} from '../compiler/contracts/index.ts';
import { engineOf } from '../runtime/llm/engine/options.ts';
import { gpusOfPool, poolUsdPerHour } from '../runtime/llm/engine/pool-size.ts';
import type { PricesConfig, ScenarioConfig } from '../scenarios/schema.ts';
import type { ReportModels, ReportPool, SpanTimes } from './report.ts';

interface ModelsInput {
  readonly profile: Profile;
  /** The layout the profile was taken of, and its blocks. */
  readonly configuration: Configuration | undefined;
  readonly blocks: readonly Block[];
  /** What the study predicted for that layout: it has read profiles in files, of which the scenario has only the name. */
  readonly prediction?: Prediction | undefined;
  readonly models: ScenarioConfig['models'];
  readonly prices: PricesConfig;
}

/** More points than a small chart has pixels to tell apart are no help. */
const mostPoints = 120;

/** What the pools of models did while the profile was taken: from the traces, and from what their engines say. */
export function modelsOf(input: ModelsInput): ReportModels {
  const { profile } = input;
  const uses = Object.entries(profile.models).flatMap(([model, { byPool = {} }]) =>
    Object.entries(byPool).map(([pool, use]) => ({ pool, model, use })),
  );
  const told = new Map((profile.pools ?? []).map((load) => [load.pool, load]));
  const silent = [...told.values()].filter(({ pool }) => !uses.some((use) => use.pool === pool));
  return {
    pools: [
      ...uses.map(({ pool, model, use }) => poolOf(input, pool, model, use, told.get(pool))),
      ...silent.map((load) => poolOf(input, load.pool, load.model, { callsPerRequest: 0, byAgent: {} }, load)),
    ].sort((a, b) => (a.pool < b.pool ? -1 : 1)),
  };
}

function poolOf(input: ModelsInput, pool: string, asked: string, use: PoolUse, load: PoolLoad | undefined): ReportPool {
  const { profile, configuration, blocks, models, prices } = input;
  const serving = configuration?.serving[pool];
  // Spans name the model that was asked for; a pool serves one, whoever asks.
  const model = serving?.model ?? load?.model ?? asked;
  const bound = models[model];
  const options = { ...bound?.options, ...serving?.options };
  const served = serving !== undefined && bound?.url === undefined;
  const replicas = serving?.replicas ?? 1;
  const price = prices.models[model];
  const tokensUsd = ({ tokensIn, tokensCached, tokensOut }: { tokensIn: number; tokensCached: number; tokensOut: number }): number => {
    if (price === undefined) return 0;
    const cached = Math.min(tokensCached, tokensIn) * (price.cachedPerMillionUsd ?? price.inputPerMillionUsd);
    return (
      ((tokensIn - Math.min(tokensCached, tokensIn)) * price.inputPerMillionUsd + cached + tokensOut * price.outputPerMillionUsd) / 1e6
    );
  };
  const agents = Object.entries(use.byAgent);
  const total = (of: (agent: PoolUse['byAgent'][string]) => number) => agents.reduce((sum, [, agent]) => sum + of(agent), 0);
  const [waitMs, queueMs] = [total((agent) => agent.waitMs), total((agent) => agent.queueMs)];
  const gpuUsd = served ? poolUsdPerHour(options, replicas, prices.gpuHourUsd) * hoursPerRequest(blocks) : 0;
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
  return {
    pool,
    model,
    source: load?.source ?? null,
    provenance: provenanceOf(profile.provenance, load, bound?.backend),
    estimate:
      bound?.backend === 'simulated' &&
      (input.prediction?.pools?.[pool]?.evidence === 'estimate' || isEstimate({ ...options, model: bound.model ?? model })),
    replicas: load?.replicas ?? (served ? replicas : null),
    gpus: served ? gpusOfPool(options, replicas) : null,
    perRequest: {
      calls: use.callsPerRequest,
      tokensIn: total((agent) => agent.tokensIn),
      tokensCached: total((agent) => agent.tokensCached),
      tokensOut: total((agent) => agent.tokensOut),
      waitMs,
      queueMs,
    },
    usdPer1000: { tokens: total(tokensUsd) * 1000, gpus: gpuUsd * 1000 },
    agents: agents.map(([agent, own]) => ({
      agent,
      calls: own.callsPerRequest,
      tokensIn: own.tokensIn,
      tokensCached: own.tokensCached,
      tokensOut: own.tokensOut,
      waitMs: own.waitMs,
      waitShare: share(own.waitMs, waitMs),
      queueMs: own.queueMs,
      // GPUs are held by whoever has calls under way, so their price is shared out by the time of calls.
      usdPer1000: (tokensUsd(own) + gpuUsd * share(own.waitMs, waitMs)) * 1000,
    })),
    engine: load === undefined ? null : engineLoad(load),
  };
}

/** Of one request of the application, at the rate the profile was taken at. */
function hoursPerRequest(blocks: readonly Block[]): number {
  const requests = blocks.reduce((sum, { classes }) => sum + Object.values(classes).reduce((all, each) => all + each.requests, 0), 0);
  const hours = blocks.reduce((sum, { durationMs }) => sum + durationMs, 0) / 3_600_000;
  return requests > 0 ? hours / requests : 0;
}

function provenanceOf(profile: Provenance, load: PoolLoad | undefined, backend: string | undefined): Provenance {
  if (load?.source === 'simulated' || backend === 'simulated') return 'simulated';
  if (backend === 'replay') return weakest([profile, 'replayed']);
  return load === undefined ? profile : 'measured';
}

function isEstimate(options: { readonly [option: string]: unknown }): boolean {
  try {
    return engineOf(options).evidence === 'estimate';
  } catch {
    // Options that mean nothing were told of elsewhere.
    return false;
  }
}

function engineLoad(load: PoolLoad): NonNullable<ReportPool['engine']> {
  const { samples, gpu } = load;
  const gpuPoints = gpu.map(({ atMs, gpus }) => ({ atMs, value: mean(gpus.flatMap(({ utilization }) => utilization ?? [])) }));
  const uses = samples.flatMap(({ kvUse }) => kvUse ?? []);
  const memory = gpu.flatMap(({ gpus }) => gpus.flatMap(({ memoryUsedMb }) => memoryUsedMb ?? []));
  const power = gpu.flatMap(({ gpus }) => gpus.flatMap(({ powerW }) => powerW ?? []));
  const series = binned(samples);
  return {
    tokensIn: load.tokensIn,
    tokensCached: load.tokensCached,
    tokensOut: load.tokensOut,
    preemptions: load.preemptions,
    gaps: load.gaps,
    fromMs: load.fromMs ?? null,
    toMs: load.toMs ?? null,
    timeToFirstTokenMs: spanTimes(load.timeToFirstTokenMs),
    timePerOutputTokenMs: spanTimes(load.timePerOutputTokenMs),
    queueMs: spanTimes(load.queueMs),
    prefillMs: spanTimes(load.prefillMs ?? null),
    decodeMs: spanTimes(load.decodeMs ?? null),
    running: { mean: mean(samples.map(({ running }) => running)) ?? 0, max: Math.max(0, ...samples.map(({ running }) => running)) },
    waiting: { mean: mean(samples.map(({ waiting }) => waiting)) ?? 0, max: Math.max(0, ...samples.map(({ waiting }) => waiting)) },
    kvUse: uses.length === 0 ? null : { mean: mean(uses) ?? 0, max: Math.max(...uses) },
    gpuUse: mean(gpuPoints.flatMap(({ value }) => value ?? [])),
    gpuMemoryMb: mean(memory),
    gpuPowerW: mean(power),
    series: {
      atMs: series.map(({ atMs }) => Math.round(atMs)),
      running: series.map(({ running }) => rounded(running)),
      waiting: series.map(({ waiting }) => rounded(waiting)),
      kvUse: uses.length === 0 ? null : series.map(({ kvUse }) => rounded(kvUse, 3)),
    },
    gpuSeries: gpuPoints.some(({ value }) => value !== null)
      ? { atMs: binned(gpuPoints).map(({ atMs }) => Math.round(atMs)), use: binned(gpuPoints).map(({ value }) => rounded(value, 3)) }
      : null,
  };
}

/**
 * The mean is exact. Buckets are far too wide to read a quantile off them (the first of vLLM's for whole requests ends at
 * 300 ms), so only what is certain is said: the end of its bucket, or by Markov's inequality mean / 5 %, whichever is less.
 */
export function spanTimes(histogram: LoadHistogram | null): SpanTimes | null {
  if (histogram === null) return null;
  const { boundsMs, counts, sumMs } = histogram;
  const n = counts.reduce((sum, count) => sum + count, 0);
  if (n === 0) return null;
  let below = 0;
  const index = counts.findIndex((count) => {
    below += count;
    return below >= 0.95 * n;
  });
  const end = boundsMs[index] ?? Number.POSITIVE_INFINITY;
  return { n, mean: sumMs / n, p95AtMost: Math.min(end, sumMs / n / 0.05) };
}

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

const rounded = (value: number | null | undefined, digits = 1): number => Number((value ?? 0).toFixed(digits));

/** Neighbours joined to their means until few enough are left. */
function binned<Point extends { readonly [key in keyof Point]: number | null }>(points: readonly Point[]): readonly Point[] {
  const size = Math.ceil(points.length / mostPoints);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) => {
    const part = points.slice(index * size, (index + 1) * size);
    const keys = Object.keys(part[0] ?? {}) as (keyof Point)[];
    return Object.fromEntries(keys.map((key) => [key, mean(part.flatMap((point) => (point[key] as number | null) ?? []))])) as Point;
  });
}
