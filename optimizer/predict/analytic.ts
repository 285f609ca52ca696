import {
  type ClassPrediction,
  type Configuration,
  canonicalJson,
  configurationId,
  type Estimate,
  type Json,
  type Prediction,
  type Profile,
} from '../../compiler/contracts/index.ts';
import { type AnalyticModel, type AnalyticResult, createAnalyticModel } from './analytic-model.ts';
import { type Calibration, calibrated, firstTokenFactor, latencyFactor, uncalibrated } from './calibrate.ts';
import { type CallTimeline, callTimeline } from './call-times.ts';
import { type CompiledProfile, compileProfile } from './compiled-profile.ts';
import type { Engines, PredictorInput } from './input.ts';
import { createPriceLookup, type NumericLayout, numericLayout } from './layout.ts';
import { createModelServing, type ModelServing } from './model-serving.ts';
import { allocatedUsdPerHour, type HopPrice, replicaUsdPerHour, tokenUsdPerRequest } from './pricing.ts';

export type Predict = (configuration: Configuration) => Prediction;

/** What the analytic predictor, its bound and the simulated predictor share. */
export interface AnalyticParts {
  readonly compiled: CompiledProfile;
  readonly model: AnalyticModel;
  readonly calibration: Calibration;
  readonly serving: ModelServing;
  readonly firstTokens: readonly string[];
  /** Per class: USD of the tokens of a request. */
  tokenUsdOf(configuration: Pick<Configuration, 'modelChoice'>): readonly number[];
  layoutOf(configuration: Configuration): NumericLayout;
  priceOf(channel: string, configuration: Configuration): HopPrice;
}

export function analyticParts(input: PredictorInput): AnalyticParts {
  const compiled = compileProfile(input.profile, input.workflow);
  const priceOf = createPriceLookup(input.prices);
  const serving = sharedServing(input, compiled);
  const tokens = new Map<string, readonly number[]>();
  const { firstTokens } = input;
  return {
    compiled,
    model: createAnalyticModel({
      compiled,
      workload: input.workload,
      hostCores: input.hostCores,
      ingressCpuMs: input.profile.overheadCpuMsPerRequest,
      measuredFirstMs: serving.measuredFirstMs,
      ...(firstTokens ? { firstTokens } : {}),
    }),
    calibration: input.calibration ?? uncalibrated,
    serving,
    firstTokens: firstTokens ?? [],
    tokenUsdOf: ({ modelChoice }) => {
      const key = modelChoice === undefined ? '' : canonicalJson(modelChoice);
      let found = tokens.get(key);
      if (!found) {
        const usd = tokenUsdPerRequest(input.profile, input.pricing, modelChoice);
        found = compiled.classes.map((name) => usd[name] ?? 0);
        tokens.set(key, found);
      }
      return found;
    },
    priceOf,
    layoutOf: (configuration) => numericLayout(compiled, configuration, priceOf),
  };
}

const servings = new WeakMap<Engines, { readonly key: string; readonly profile: Profile; readonly serving: ModelServing }>();

/** Predictors of one profile under one load share what its pools were found to take: putting them through engines is most of the work. */
function sharedServing(input: PredictorInput, compiled: CompiledProfile): ModelServing {
  const { engines, profile, workload, seed, requests } = input;
  const key = canonicalJson({ workload: workload as Json, seed, requests: requests ?? null });
  const known = engines && servings.get(engines);
  if (known && known.profile === profile && known.key === key) return known.serving;
  let timeline: CallTimeline | undefined;
  const serving = createModelServing(input, compiled, () => {
    timeline ??= callTimeline(input, compiled);
    return timeline;
  });
  if (engines) servings.set(engines, { key, profile, serving });
  return serving;
}

/**
 * The analytic predictor: tens of microseconds per configuration, used to rank all of them. See `createAnalyticModel`
 * for the formulas. Its intervals carry the model error only, and twice that of the simulated predictor: it was
 * calibrated on the same measurements but knows less about queueing.
 */
export function createAnalyticPredictor(input: PredictorInput): Predict {
  const parts = analyticParts(input);
  return (configuration) => {
    const layout = parts.layoutOf(configuration);
    const served = parts.serving.served(configuration);
    const result = parts.model.evaluate(layout, 'full', served);
    if (served?.saturated) result.feasible = false;
    const usdPerHour = hourlyUsd(input, configuration);
    const utilization: Record<string, number> = {};
    layout.unitIds.forEach((id, unit) => {
      utilization[id] = result.utilization[unit] as number;
    });
    return {
      configurationId: configurationId(configuration),
      ...estimates(parts, result, usdPerHour, parts.tokenUsdOf(configuration)),
      utilization,
      ...grantsIn(input, configuration),
      ...(served ? { pools: served.pools } : {}),
    };
  };
}

/** No figure of a model: a layout's rights are known. */
export function grantsIn({ grants }: PredictorInput, configuration: Configuration): Pick<Prediction, 'grants'> {
  const found = grants?.(configuration) ?? null;
  return found === null ? {} : { grants: found };
}

/** Everything of a prediction that follows from the model's result and the allocated money. */
export function estimates(
  parts: AnalyticParts,
  result: AnalyticResult,
  usdPerHour: number,
  tokenUsd: readonly number[],
): Pick<Prediction, 'predictor' | 'classes' | 'feasible' | 'usdPer1000Requests' | 'cpuMsPerRequest'> {
  const { compiled, calibration } = parts;
  const classes: Record<string, ClassPrediction> = {};
  let tokens = 0;
  for (let k = 0; k < compiled.classes.length; k++) {
    const name = compiled.classes[k] as string;
    const rate = result.ratePerSecond[k] as number;
    tokens += rate * (tokenUsd[k] as number);
    classes[name] = {
      p50Ms: calibrated(result.p50Ms[k] as number, latencyFactor(calibration, name, 'p50Ms')),
      p95Ms: calibrated(result.p95Ms[k] as number, latencyFactor(calibration, name, 'p95Ms')),
      meanMs: calibrated(result.meanMs[k] as number, latencyFactor(calibration, name, 'meanMs')),
      ...(parts.firstTokens.includes(name) ? firstTokenOf(result, k, calibration, name) : {}),
    };
  }
  return {
    predictor: 'analytic',
    classes,
    feasible: result.feasible,
    usdPer1000Requests: costEstimate(usdPer1000(usdPerHour, tokens, result.totalRate), calibration),
    cpuMsPerRequest: calibrated(result.cpuMsPerRequest, calibration.cpu),
  };
}

function firstTokenOf({ first }: AnalyticResult, k: number, calibration: Calibration, name: string): Pick<ClassPrediction, 'firstTokenMs'> {
  const factor = firstTokenFactor(calibration, name);
  const of = (values: Float64Array) => calibrated(values[k] as number, factor);
  return { firstTokenMs: { p50Ms: of(first.p50Ms), p95Ms: of(first.p95Ms), meanMs: of(first.meanMs) } };
}

/** Everything a configuration holds, by the hour. */
export const hourlyUsd = (input: PredictorInput, configuration: Configuration): number =>
  allocatedUsdPerHour(configuration, input.pricing) + gatewayUsdPerHour(input, configuration) + addedServersUsd(input, configuration);

/** Resources the planner gives each process of a model server or its router. */
const serverResources = { vcpu: 1, memoryMb: 256 };

/** What the machines of more pools than the profiled layout has cost, beside their GPUs; the profiled ones are in the calibration. */
export function addedServersUsd({ engines, pricing }: PredictorInput, { serving }: Pick<Configuration, 'serving'>): number {
  if (!engines) return 0;
  const served = (settings: Configuration['serving']) =>
    Object.entries(settings).filter(([id, setting]) => engines.setupOf(setting.model ?? id, setting) !== null).length;
  return (served(serving) - served(engines.reference.serving)) * replicaUsdPerHour(serverResources, pricing);
}

/** USD per 1000 requests from money per hour, token money per second and requests per second. */
export const usdPer1000 = (usdPerHour: number, tokenUsdPerSecond: number, perSecond: number): number =>
  perSecond > 0 ? (usdPerHour / (perSecond * 3600) + tokenUsdPerSecond / perSecond) * 1000 : Number.POSITIVE_INFINITY;

/** Money is a matter of counting, so its interval is the small share that measured and counted bills differed by. */
export function costEstimate(usd: number, calibration: Calibration): Estimate {
  const point = usd + calibration.fixedUsdPer1000;
  const width = 1.959964 * calibration.costSpread;
  return { point, low: point * (1 - width), high: point * (1 + width), level: 0.95, n: 0, provenance: 'modelled' };
}

export function gatewayUsdPerHour(input: PredictorInput, configuration: Configuration): number {
  return input.gateway && entryReplicas(input, configuration) > 1 ? replicaUsdPerHour(input.gateway.resources, input.pricing) : 0;
}

/** Replicas of the unit that takes the requests. */
export function entryReplicas(input: PredictorInput, configuration: Configuration): number {
  const entry = input.profile.skeletons[0]?.root.component;
  return configuration.units.find((unit) => entry !== undefined && unit.components.includes(entry))?.replicas ?? 1;
}
