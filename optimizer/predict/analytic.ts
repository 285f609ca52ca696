import { type Configuration, configurationId, type Estimate, type Prediction } from '../../compiler/contracts/index.ts';
import { type AnalyticModel, type AnalyticResult, createAnalyticModel } from './analytic-model.ts';
import { type Calibration, calibrated, latencyFactor, uncalibrated } from './calibrate.ts';
import { type CompiledProfile, compileProfile } from './compiled-profile.ts';
import type { PredictorInput } from './input.ts';
import { createPriceLookup, type NumericLayout, numericLayout } from './layout.ts';
import { allocatedUsdPerHour, type HopPrice, replicaUsdPerHour, tokenUsdPerRequest } from './pricing.ts';

export type Predict = (configuration: Configuration) => Prediction;

/** What the analytic predictor, its bound and the simulated predictor share. */
export interface AnalyticParts {
  readonly compiled: CompiledProfile;
  readonly model: AnalyticModel;
  readonly calibration: Calibration;
  readonly tokenUsd: readonly number[];
  layoutOf(configuration: Configuration): NumericLayout;
  priceOf(channel: string, configuration: Configuration): HopPrice;
}

export function analyticParts(input: PredictorInput): AnalyticParts {
  const compiled = compileProfile(input.profile, input.workflow);
  const priceOf = createPriceLookup(input.prices);
  const tokens = tokenUsdPerRequest(input.profile, input.pricing);
  return {
    compiled,
    model: createAnalyticModel({
      compiled,
      workload: input.workload,
      hostCores: input.hostCores,
      ingressCpuMs: input.profile.overheadCpuMsPerRequest,
    }),
    calibration: input.calibration ?? uncalibrated,
    tokenUsd: compiled.classes.map((name) => tokens[name] ?? 0),
    priceOf,
    layoutOf: (configuration) => numericLayout(compiled, configuration, priceOf),
  };
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
    const result = parts.model.evaluate(layout, 'full');
    const usdPerHour = allocatedUsdPerHour(configuration, input.pricing) + gatewayUsdPerHour(input, configuration);
    const utilization: Record<string, number> = {};
    layout.unitIds.forEach((id, unit) => {
      utilization[id] = result.utilization[unit] as number;
    });
    return {
      configurationId: configurationId(configuration),
      ...estimates(parts, result, usdPerHour),
      utilization,
    };
  };
}

/** Everything of a prediction that follows from the model's result and the allocated money. */
export function estimates(
  parts: AnalyticParts,
  result: AnalyticResult,
  usdPerHour: number,
): Pick<Prediction, 'predictor' | 'classes' | 'feasible' | 'usdPer1000Requests' | 'cpuMsPerRequest'> {
  const { compiled, calibration, tokenUsd } = parts;
  const classes: Record<string, { p50Ms: Estimate; p95Ms: Estimate; meanMs: Estimate }> = {};
  let tokens = 0;
  for (let k = 0; k < compiled.classes.length; k++) {
    const name = compiled.classes[k] as string;
    const rate = result.ratePerSecond[k] as number;
    tokens += rate * (tokenUsd[k] as number);
    classes[name] = {
      p50Ms: calibrated(result.p50Ms[k] as number, latencyFactor(calibration, name, 'p50Ms')),
      p95Ms: calibrated(result.p95Ms[k] as number, latencyFactor(calibration, name, 'p95Ms')),
      meanMs: calibrated(result.meanMs[k] as number, latencyFactor(calibration, name, 'meanMs')),
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
