import { type Configuration, canonicalJson } from '../../compiler/contracts/index.ts';
import type { EngineSetup } from '../../runtime/llm/engine/options.ts';
import { simulateArrivals } from '../../runtime/llm/engine/simulate.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import type { ModelCall } from './event-core.ts';
import type { PredictorInput } from './input.ts';

/**
 * Latency of model calls under other serving settings than the profile was measured with: the measured one times how
 * much slower or faster the engine is with the new settings than with the old, for the same calls at the same times.
 * The ratio keeps what the engine model does not know (network, client work). Undefined when nothing is served otherwise.
 */
export function servedLatencies(
  input: PredictorInput,
  compiled: CompiledProfile,
  configuration: Configuration,
  calls: readonly ModelCall[],
): ReadonlyMap<number, number> | undefined {
  const { engines } = input;
  if (!engines) return undefined;
  let latencies: Map<number, number> | undefined;
  compiled.models.forEach((model, id) => {
    const [now, then] = [configuration.serving[model], engines.reference[model]];
    if (!now || !then || canonicalJson(now) === canonicalJson(then)) return;
    const [engineNow, engineThen] = [engines.engineOf(model, now), engines.engineOf(model, then)];
    if (!engineNow || !engineThen) return;
    const own = calls.filter(({ call }) => compiled.callModel[call] === id);
    const newMs = engineMs(engineNow, now.replicas, compiled, own);
    const oldMs = engineMs(engineThen, then.replicas, compiled, own);
    latencies ??= new Map();
    for (let i = 0; i < own.length; i++) {
      const { slot, call } = own[i] as ModelCall;
      const old = oldMs[i] as number;
      const ratio = old > 0 ? (newMs[i] as number) / old : 1;
      latencies.set(slot, (compiled.callModelMs[call] as number) * ratio);
    }
  });
  return latencies;
}

/** Calls dealt to the replicas in turn. */
function engineMs(
  engine: Pick<EngineSetup, 'args' | 'stepTime'>,
  replicas: number,
  c: CompiledProfile,
  calls: readonly ModelCall[],
): Float64Array {
  const out = new Float64Array(calls.length);
  for (let replica = 0; replica < replicas; replica++) {
    const members = calls.map((_, i) => i).filter((i) => i % replicas === replica);
    const timings = simulateArrivals(
      engine,
      members.map((i) => {
        const { call, atMs } = calls[i] as ModelCall;
        return {
          atMs,
          tokensIn: Math.max(1, c.callTokensIn[call] as number),
          tokensCached: c.callTokensCached[call] as number,
          tokensOut: Math.max(1, c.callTokensOut[call] as number),
        };
      }),
    );
    members.forEach((i, k) => {
      out[i] = timings[k]?.totalMs ?? 0;
    });
  }
  return out;
}
