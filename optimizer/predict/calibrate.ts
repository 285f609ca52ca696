import type { Block, Configuration, Estimate, Prediction } from '../../compiler/contracts/index.ts';

/** A multiplicative correction and what is left unexplained after it, as standard deviation of the logarithm. */
export interface LogFactor {
  readonly bias: number;
  readonly spread: number;
}

export type PredictedMetric = 'p50Ms' | 'p95Ms' | 'meanMs';

/** How far a predictor was off where it could be checked, and how wide its intervals must be therefore. */
export interface Calibration {
  readonly latency: LogFactor;
  /** Finer than `latency`, where a class was measured. */
  readonly classes: {
    readonly [requestClass: string]: { readonly [metric in PredictedMetric]: LogFactor } & { readonly firstToken?: LogFactor };
  };
  readonly cpu: LogFactor;
  /** Cost the model does not see (model servers, gateways), the same for every layout. */
  readonly fixedUsdPer1000: number;
  readonly costSpread: number;
  /** Number of configurations it rests on. */
  readonly n: number;
}

/**
 * Before anything is measured: no correction, 15 % standard deviation. Published errors of trace-driven predictors lie
 * at a median of 7-9 % (BLIS, Vidur); the extra is for what a foreign application may do.
 */
export const uncalibrated: Calibration = {
  latency: { bias: 1, spread: 0.15 },
  classes: {},
  cpu: { bias: 1, spread: 0.15 },
  fixedUsdPer1000: 0,
  costSpread: 0.02,
  n: 0,
};

/** Prior of the shared error (how far off a predictor is everywhere) and of the error per configuration. */
const priorBiasSd = 0.3;
const priorErrorSd = 0.08;
const priorWeight = 3;

/**
 * Residual model: `log(measured / predicted) = shared + own`, `shared ~ N(0, 0.3²)` the same for all configurations,
 * `own ~ N(0, s²)` per configuration, with `s` itself estimated (a scaled inverse chi-square prior of weight 3 at
 * 8 %). The bias is the posterior mean of `shared`; the spread joins what is still unknown of it and `s`. With one
 * measured configuration most of its residual moves the centre and part of it widens the interval; with several that
 * agree the interval narrows; where they disagree it widens.
 */
export function fitLogFactor(ratios: readonly number[]): LogFactor {
  const residuals = ratios.filter((ratio) => ratio > 0 && Number.isFinite(ratio)).map(Math.log);
  if (residuals.length === 0) return uncalibrated.latency;
  const n = residuals.length;
  let errorVariance = priorErrorSd ** 2;
  let mean = 0;
  let meanVariance = 0;
  for (let round = 0; round < 20; round++) {
    const precision = n / errorVariance + 1 / priorBiasSd ** 2;
    mean = residuals.reduce((sum, r) => sum + r, 0) / errorVariance / precision;
    meanVariance = 1 / precision;
    // The shared part is itself uncertain: leaving that out would make `s` too small (expectation maximization).
    const squares = residuals.reduce((sum, r) => sum + (r - mean) ** 2 + meanVariance, 0);
    errorVariance = (priorWeight * priorErrorSd ** 2 + squares) / (priorWeight + n);
  }
  return { bias: Math.exp(mean), spread: Math.sqrt(errorVariance + meanVariance) };
}

/**
 * Compares what a predictor says with what was measured, for every configuration measured so far (at least the
 * baseline). `predict` must be the uncalibrated predictor.
 */
export function calibrate(
  predict: (configuration: Configuration) => Prediction,
  measured: readonly { readonly configuration: Configuration; readonly block: Block }[],
): Calibration {
  const ratios: Record<string, Record<PredictedMetric, number[]>> = {};
  const firsts: Record<string, number[]> = {};
  const cpu: number[] = [];
  const cost: { residual: number; measured: number }[] = [];
  for (const { configuration, block } of measured) {
    const prediction = predict(configuration);
    let requests = 0;
    for (const [name, result] of Object.entries(block.classes)) {
      requests += result.requests;
      const predicted = prediction.classes[name];
      if (!predicted || !result.latencyMs) continue;
      ratios[name] ??= { p50Ms: [], p95Ms: [], meanMs: [] };
      ratios[name].p50Ms.push(result.latencyMs.p50 / predicted.p50Ms.point);
      ratios[name].p95Ms.push(result.latencyMs.p95 / predicted.p95Ms.point);
      ratios[name].meanMs.push(result.latencyMs.mean / predicted.meanMs.point);
      if (result.firstChunkMs && predicted.firstTokenMs) {
        firsts[name] ??= [];
        firsts[name].push(result.firstChunkMs.mean / predicted.firstTokenMs.meanMs.point);
      }
    }
    const units = new Set(configuration.units.map((unit) => unit.id));
    const cpuSeconds = block.usage.filter((usage) => units.has(usage.id)).reduce((sum, usage) => sum + usage.cpuSeconds, 0);
    if (requests > 0 && cpuSeconds > 0) cpu.push((cpuSeconds * 1000) / requests / prediction.cpuMsPerRequest.point);
    const usd = block.money.usdPer1000Requests;
    if (usd > 0) cost.push({ residual: usd - prediction.usdPer1000Requests.point, measured: usd });
  }
  if (measured.length === 0) return uncalibrated;
  const fixed = cost.reduce((sum, c) => sum + c.residual, 0) / Math.max(1, cost.length);
  const costErrors = cost.map((c) => (c.residual - fixed) / c.measured);
  return {
    latency: fitLogFactor(Object.values(ratios).flatMap((metrics) => metrics.meanMs)),
    classes: Object.fromEntries(
      Object.entries(ratios).map(([name, metrics]) => [
        name,
        {
          p50Ms: fitLogFactor(metrics.p50Ms),
          p95Ms: fitLogFactor(metrics.p95Ms),
          meanMs: fitLogFactor(metrics.meanMs),
          ...(firsts[name] ? { firstToken: fitLogFactor(firsts[name]) } : {}),
        },
      ]),
    ),
    cpu: fitLogFactor(cpu),
    fixedUsdPer1000: fixed,
    costSpread: Math.sqrt(uncalibrated.costSpread ** 2 + costErrors.reduce((sum, e) => sum + e * e, 0) / Math.max(1, cost.length)),
    n: measured.length,
  };
}

/** 97.5 % quantile of the standard normal: intervals are 95 % ones. */
const z95 = 1.959964;

/** Applies a correction to a predicted value; `samplingSd` is the log standard deviation from the finite sample of requests. */
export function calibrated(value: number, factor: LogFactor, samplingSd = 0): Estimate {
  const point = value * factor.bias;
  const width = Math.exp(z95 * Math.sqrt(factor.spread ** 2 + samplingSd ** 2));
  return { point, low: point / width, high: point * width, level: 0.95, n: 0, provenance: 'modelled' };
}

export const latencyFactor = (calibration: Calibration, requestClass: string, metric: PredictedMetric): LogFactor =>
  calibration.classes[requestClass]?.[metric] ?? calibration.latency;

/** Of the time to the first token; where it was never measured its error is taken for that of the latency. */
export const firstTokenFactor = (calibration: Calibration, requestClass: string): LogFactor =>
  calibration.classes[requestClass]?.firstToken ?? latencyFactor(calibration, requestClass, 'meanMs');
