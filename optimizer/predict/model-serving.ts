import {
  type Configuration,
  canonicalJson,
  type PoolPrediction,
  poolOf,
  type ServingConfiguration,
} from '../../compiler/contracts/index.ts';
import { type CallTimeline, oneByOne, type PoolTimes, poolCalls, poolTimes } from './call-times.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { type Correction, correctionOf } from './engine-correction.ts';
import { createEnginePool, type EnginePool, type PoolCall, type PoolSetup } from './engine-pool.ts';
import type { PredictorInput } from './input.ts';

/** What a configuration's pools make of the model calls, for predictors that do not follow each of them. */
export interface ServedCalls {
  /** Per row of a call: mean duration, and the part of it before the first token. */
  readonly callMs: Float64Array;
  readonly firstMs: Float64Array;
  /** Pools that were put through an engine. */
  readonly pools: { readonly [pool: string]: PoolPrediction };
  readonly saturated: boolean;
}

/** Pools that run beside a simulation of the requests, call by call. */
export interface LivePools {
  /** Per row of a call: index of its pool, or -1 where it lasts as long as it was measured. */
  readonly poolOfCall: Int32Array;
  readonly pools: readonly LivePool[];
}

export interface LivePool extends Pick<EnginePool, 'nextAtMs' | 'advanceTo' | 'facts'> {
  readonly id: string;
  readonly setup: PoolSetup;
  /** A call by its row; `tag` comes back with its tokens. False: no replica can ever run it. */
  submit(tag: number, row: number, request: number, atMs: number): boolean;
  /** What a call takes beside its engine: network, client, server. */
  readonly extraMs: number;
}

/**
 * Model calls under other serving than the profile was measured with. Each call goes to the pool that answers its agent
 * (`poolOf`), and a pool that serves the same calls with the same settings as before keeps its measured times, unless first
 * tokens count. The others run through the engine; what the engine does not know is learnt from the measured pools (see `correctionOf`).
 */
export interface ModelServing {
  /** Undefined where every call keeps its measured time. */
  served(configuration: Configuration): ServedCalls | undefined;
  /** `speedOf` multiplies what the engine of a model takes, for "what if" questions. */
  live(configuration: Configuration, horizonMs: number, speedOf?: (model: string) => number): LivePools | undefined;
  /** Per row: duration before the first token as it was measured. */
  readonly measuredFirstMs: Float64Array;
  /** Rows one pool has with this setting, for whoever compares settings: mean times of each, or why it cannot be. */
  timesOf(
    pool: string,
    setting: ServingConfiguration,
    modelChoice: Configuration['modelChoice'],
    serving: Configuration['serving'],
  ): PoolTimes | null;
}

interface Served {
  readonly id: string;
  readonly model: string;
  readonly setting: ServingConfiguration;
  readonly rows: readonly number[];
  readonly setup: PoolSetup;
}

export function createModelServing(input: PredictorInput, compiled: CompiledProfile, timeline: () => CallTimeline): ModelServing {
  const { engines } = input;
  const modelRows = [...compiled.callModel.keys()].filter((row) => (compiled.callModel[row] as number) >= 0);
  // Rows by who asks for what: few pairs, so that a configuration is sorted into pools by looking each of them up once.
  const pairs = new Map<string, { readonly agent: string; readonly model: string; readonly rows: number[] }>();
  for (const row of modelRows) {
    const agent = compiled.components[compiled.callCaller[row] as number] ?? '';
    const model = compiled.models[compiled.callModel[row] as number] ?? '';
    const pair = pairs.get(`${agent}\n${model}`) ?? { agent, model, rows: [] };
    pair.rows.push(row);
    pairs.set(`${agent}\n${model}`, pair);
  }
  const calls = new Map<number, Map<number, PoolCall>>();
  const callOf = (row: number, request: number, setup: PoolSetup): PoolCall => {
    let known = calls.get(setup.prefixBlock);
    if (!known) {
      known = new Map();
      calls.set(setup.prefixBlock, known);
    }
    return poolCalls(compiled, known, row, request, setup.prefixBlock);
  };

  const rowsByPool = (configuration: Pick<Configuration, 'serving' | 'modelChoice'>): Map<string, number[]> => {
    const found = new Map<string, number[]>();
    for (const { agent, model, rows } of pairs.values()) {
      const pool = poolOf(configuration as Configuration, agent, model);
      if (pool === undefined) continue;
      const known = found.get(pool);
      if (known) known.push(...rows);
      else found.set(pool, [...rows]);
    }
    return found;
  };
  const before = engines ? rowsByPool(engines.reference) : new Map<string, number[]>();
  const unchanged = (id: string, setting: ServingConfiguration, rows: readonly number[]): boolean => {
    // When a call's first token came was not recorded, so where that counts all pools are taken from their engines.
    if (input.firstTokens?.length) return false;
    const then = engines?.reference.serving[id];
    return then !== undefined && canonicalJson(then) === canonicalJson(setting) && before.get(id)?.length === rows.length;
  };
  const setups = new Map<string, PoolSetup | null>();
  const setupOf = (model: string, setting: ServingConfiguration): PoolSetup | null => {
    const key = `${model} ${setting.replicas} ${canonicalJson(setting.options)}`;
    let setup = setups.get(key);
    if (setup === undefined) {
      setup = engines?.setupOf(model, setting) ?? null;
      setups.set(key, setup);
    }
    return setup;
  };
  const poolsOf = (configuration: Pick<Configuration, 'serving' | 'modelChoice'>): readonly Served[] =>
    [...rowsByPool(configuration)].flatMap(([id, rows]) => {
      const setting = configuration.serving[id];
      if (!setting || unchanged(id, setting, rows)) return [];
      const model = setting.model ?? id;
      const setup = setupOf(model, setting);
      return setup ? [{ id, model, setting, rows, setup }] : [];
    });

  const corrections = new Map<string, Correction>();
  /** Of the model that answers where it was measured, else none. */
  const correction = (model: string): Correction => {
    let known = corrections.get(model);
    if (!known) {
      const own = [...before].filter(([id]) => (engines?.reference.serving[id]?.model ?? id) === model);
      const pools = own.flatMap(([id, rows]) => {
        const setting = engines?.reference.serving[id];
        const setup = setting ? setupOf(model, setting) : null;
        return setup ? [{ rows, setup }] : [];
      });
      known = correctionOf(
        compiled,
        pools.map((pool) => poolTimes(compiled, oneByOne(pool.rows), { ...pool, scale: 1, extraMs: 0 }, callOf)),
        (scale) => pools.map((pool) => poolTimes(compiled, timeline(), { ...pool, scale, extraMs: 0 }, callOf)),
      );
      corrections.set(model, known);
    }
    return known;
  };

  const measuredFirstMs = Float64Array.from(compiled.callModelMs, (ms, row) => ms * firstShare(input, compiled, row));
  const times = new Map<string, PoolTimes>();
  const timesOfPool = ({ model, setting, rows, setup }: Served): PoolTimes => {
    const key = `${model} ${setting.replicas} ${canonicalJson(setting.options)} ${rows.length} ${rows[0]} ${hashOf(rows)}`;
    let known = times.get(key);
    if (!known) {
      const { scale, extraMs } = correction(model);
      known = poolTimes(compiled, timeline(), { rows, setup, scale, extraMs }, callOf);
      times.set(key, known);
    }
    return known;
  };

  const byServing = new Map<string, ServedCalls | null>();
  const numbers = new WeakMap<ServingConfiguration, number>();
  let settings = 0;
  const numberOf = (setting: ServingConfiguration): number => {
    let number = numbers.get(setting);
    if (number === undefined) {
      number = settings++;
      numbers.set(setting, number);
    }
    return number;
  };

  return {
    measuredFirstMs,
    served(configuration) {
      if (!engines) return undefined;
      // Settings keep their identity from plan to configuration, so this is much cheaper than writing them out.
      let key = configuration.modelChoice === undefined ? '' : canonicalJson(configuration.modelChoice);
      for (const id in configuration.serving) key += ` ${id}=${numberOf(configuration.serving[id] as ServingConfiguration)}`;
      let found = byServing.get(key);
      if (found === undefined) {
        found = serve(configuration);
        byServing.set(key, found);
      }
      return found ?? undefined;
    },
    live(configuration, horizonMs, speedOf = () => 1) {
      const changed = engines ? poolsOf(configuration) : [];
      if (changed.length === 0) return undefined;
      const poolOfCall = new Int32Array(compiled.callModel.length).fill(-1);
      const pools = changed.map(({ id, model, rows, setup }, index): LivePool => {
        for (const row of rows) poolOfCall[row] = index;
        const { scale, extraMs } = correction(model);
        const engine = createEnginePool(setup, scale * speedOf(model), horizonMs);
        const submit: LivePool['submit'] = (tag, row, request, atMs) => engine.submit(tag, callOf(row, request, setup), atMs);
        return { ...engine, id, setup, submit, extraMs };
      });
      return { poolOfCall, pools };
    },
    timesOf(pool, setting, modelChoice, serving) {
      if (!engines) return null;
      const configuration = { serving: { ...serving, [pool]: setting }, ...(modelChoice === undefined ? {} : { modelChoice }) };
      const found = poolsOf(configuration).find(({ id }) => id === pool);
      return found ? timesOfPool(found) : null;
    },
  };

  function serve(configuration: Configuration): ServedCalls | null {
    const changed = poolsOf(configuration);
    if (changed.length === 0) return null;
    const callMs = Float64Array.from(compiled.callModelMs);
    const firstMs = Float64Array.from(measuredFirstMs);
    const pools: Record<string, PoolPrediction> = {};
    let saturated = false;
    for (const pool of changed) {
      const found = timesOfPool(pool);
      pool.rows.forEach((row, i) => {
        callMs[row] = found.callMs[i] as number;
        firstMs[row] = found.firstMs[i] as number;
      });
      saturated ||= found.saturated;
      const { profile, evidence } = pool.setup;
      pools[pool.id] = { queuedMs: found.queuedMs, saturated: found.saturated, profile, evidence };
    }
    return { callMs, firstMs, pools, saturated };
  }
}

/** Share of a call before its first token, over the model's calls; 1 where no reply told. */
function firstShare({ profile }: PredictorInput, compiled: CompiledProfile, row: number): number {
  const model = profile.models[compiled.models[compiled.callModel[row] as number] ?? ''];
  if (!model?.firstChunkMs || model.firstChunkMs.n === 0 || !(model.latencyMs.mean > 0)) return 1;
  return Math.min(1, model.firstChunkMs.mean / model.latencyMs.mean);
}

function hashOf(rows: readonly number[]): number {
  let value = 0;
  for (const row of rows) value = (Math.imul(value, 31) + row) | 0;
  return value;
}
