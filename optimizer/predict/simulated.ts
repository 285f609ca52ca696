import { type ClassPrediction, type Configuration, configurationId, deriveSeed, type Prediction } from '../../compiler/contracts/index.ts';
import {
  type AnalyticParts,
  analyticParts,
  costEstimate,
  entryReplicas,
  grantsIn,
  hourlyUsd,
  type Predict,
  usdPer1000,
} from './analytic.ts';
import { planArrivals } from './arrival-plan.ts';
import { bootstrapLatency } from './bootstrap.ts';
import { calibrated, firstTokenFactor, latencyFactor } from './calibrate.ts';
import { isSaturated } from './engine-pool.ts';
import { createEventCore, type EventRun, type WorkScale } from './event-core.ts';
import type { PredictorInput } from './input.ts';
import { hopCpuMs, hopLatencyMs } from './layout.ts';
import type { LivePools } from './model-serving.ts';

/** Work multiplied by a factor (0.5 is twice as fast), by component, `from->to` or model name. */
export interface WhatIf {
  readonly components?: { readonly [component: string]: number };
  readonly edges?: { readonly [edge: string]: number };
  readonly models?: { readonly [model: string]: number };
}

/** A prediction with what the simulation saw behind it. */
export interface Simulation {
  readonly prediction: Prediction;
  /** Mean wait for the event loop per request, by unit. */
  readonly loopWaitMsPerRequest: { readonly [unit: string]: number };
  /** Mean wait for a slot per request, by component. */
  readonly slotWaitMsPerRequest: { readonly [component: string]: number };
  readonly requests: number;
  readonly events: number;
}

export interface Simulator {
  run(configuration: Configuration, whatIf?: WhatIf): Simulation;
}

const defaultRequests = 2_000;
/** Requests at the start that meet an empty system. */
const warmupShare = 0.1;

/**
 * The simulated tier, tens of milliseconds per configuration; see `createEventCore` for what is modelled. All
 * configurations are run under the same arrivals, requests and balancing draws.
 *
 * Intervals (95 %) join the sampling error (bootstrap over traced requests) with the model error from `calibrate`;
 * uncalibrated the latter is 15 %.
 */
export function createSimulator(input: PredictorInput): Simulator {
  const parts = analyticParts(input);
  const { compiled, calibration } = parts;
  const arrivals = planArrivals(compiled, input.workload, input.requests ?? defaultRequests, deriveSeed(input.seed, 'simulated'));
  const core = createEventCore({
    compiled,
    arrivals,
    hostCores: input.hostCores,
    ingressCpuMs: input.profile.overheadCpuMsPerRequest,
    seed: deriveSeed(input.seed, 'balance'),
    measuredFirstMs: parts.serving.measuredFirstMs,
  });
  const openOnly = arrivals.closed.length === 0 && arrivals.sessions.length === 0;

  return {
    run(configuration, whatIf = {}) {
      const layout = parts.layoutOf(configuration);
      const scale = scaleOf(parts, whatIf);
      const live = parts.serving.live(configuration, arrivals.horizonMs, (model) => whatIf.models?.[model] ?? 1);
      const run = core(layout, scale, live);
      const gatewayHop = input.gateway && entryReplicas(input, configuration) > 1 ? input.gateway.hop : null;
      const gatewayMs = gatewayHop ? hopLatencyMs(gatewayHop, 0, false) : 0;
      const gatewayCpuMs = gatewayHop ? hopCpuMs(gatewayHop, 0, false) : 0;

      const classes: Record<string, ClassPrediction> = {};
      const perSecond: number[] = [];
      const spanMs = openOnly ? arrivals.horizonMs : run.endMs;
      compiled.classes.forEach((name, id) => {
        const picked = requestsOf(run, compiled.skeletonClass, id);
        perSecond.push((picked.all * 1000) / Math.max(1, spanMs));
        if (picked.latencyMs.length === 0) return;
        const statistics = bootstrapLatency(picked.latencyMs, picked.skeleton, deriveSeed(input.seed, 'bootstrap', name));
        const estimate = (metric: 'p50Ms' | 'p95Ms' | 'meanMs') =>
          calibrated(statistics[metric] + gatewayMs, latencyFactor(calibration, name, metric), statistics.spread[metric]);
        classes[name] = { p50Ms: estimate('p50Ms'), p95Ms: estimate('p95Ms'), meanMs: estimate('meanMs') };
        if (!parts.firstTokens.includes(name)) return;
        const first = bootstrapLatency(picked.firstTokenMs, picked.skeleton, deriveSeed(input.seed, 'bootstrap', name));
        const factor = firstTokenFactor(calibration, name);
        const firstOf = (metric: 'p50Ms' | 'p95Ms' | 'meanMs') => calibrated(first[metric] + gatewayMs, factor, first.spread[metric]);
        classes[name] = {
          ...classes[name],
          firstTokenMs: { p50Ms: firstOf('p50Ms'), p95Ms: firstOf('p95Ms'), meanMs: firstOf('meanMs') },
        };
      });

      // Rates as offered where they are known: a finite sample of arrivals is off by a few percent.
      const offered = parts.model.evaluate(layout, 'full', parts.serving.served(configuration));
      const rates = openOnly ? [...offered.ratePerSecond] : perSecond;
      const totalRate = rates.reduce((sum, rate) => sum + rate, 0);
      const correction = openOnly ? totalRate / Math.max(1e-9, (run.requests * 1000) / Math.max(1, spanMs)) : 1;
      const utilization: Record<string, number> = {};
      let busyMs = 0;
      layout.unitIds.forEach((id, unit) => {
        const busy = run.busyMs[unit] as number;
        busyMs += busy;
        utilization[id] = (busy * correction) / Math.max(1, spanMs) / (layout.replicas[unit] as number);
      });
      const hostUtilization = (busyMs * correction) / Math.max(1, spanMs) / input.hostCores;
      const overloaded = openOnly && (hostUtilization >= 1 || Object.values(utilization).some((share) => share >= 1));
      const tokens = parts.tokenUsdOf(configuration).reduce((sum, usd, id) => sum + usd * (rates[id] ?? 0), 0);
      const usdPerHour = hourlyUsd(input, configuration);
      const pools = live && poolPredictions(live, openOnly);
      const saturated = Object.values(pools ?? {}).some((pool) => pool.saturated);
      const n = Math.max(1, run.requests);
      return {
        prediction: {
          configurationId: configurationId(configuration),
          predictor: 'simulated',
          classes,
          utilization,
          // Requests that never end mean a queue that grows without bound, of the loop or of slots.
          feasible: !overloaded && !saturated && run.cutOff <= 0.01 * n,
          usdPer1000Requests: costEstimate(usdPer1000(usdPerHour, tokens, totalRate), calibration),
          cpuMsPerRequest: calibrated(busyMs / n + gatewayCpuMs, calibration.cpu),
          ...grantsIn(input, configuration),
          ...(pools ? { pools } : {}),
        },
        loopWaitMsPerRequest: Object.fromEntries(layout.unitIds.map((id, unit) => [id, (run.loopWaitMs[unit] as number) / n])),
        slotWaitMsPerRequest: Object.fromEntries(compiled.components.map((name, i) => [name, (run.slotWaitMs[i] as number) / n])),
        requests: run.requests,
        events: run.events,
      };
    },
  };
}

/** The simulator as a plain predictor. */
export function createSimulatedPredictor(input: PredictorInput): Predict {
  const simulator = createSimulator(input);
  return (configuration) => simulator.run(configuration).prediction;
}

/** In a closed loop clients wait for their answers, so nothing piles up; what cannot run at all still cannot. */
function poolPredictions({ pools }: LivePools, openOnly: boolean): Prediction['pools'] {
  return Object.fromEntries(
    pools.map(({ id, setup, facts }) => {
      const { queuedMs, refused, ...rest } = facts();
      const saturated = refused > 0 || (openOnly && isSaturated({ queuedMs, refused, ...rest }));
      return [id, { queuedMs, saturated, profile: setup.profile, evidence: setup.evidence }];
    }),
  );
}

function requestsOf(
  run: EventRun,
  classOf: Int32Array,
  id: number,
): { readonly latencyMs: Float64Array; readonly firstTokenMs: Float64Array; readonly skeleton: Int32Array; readonly all: number } {
  const members: number[] = [];
  for (let request = 0; request < run.requests; request++) {
    if (classOf[run.skeleton[request] as number] === id) members.push(request);
  }
  const counted = members.slice(Math.floor(members.length * warmupShare));
  return {
    latencyMs: Float64Array.from(counted, (request) => run.latencyMs[request] as number),
    firstTokenMs: Float64Array.from(counted, (request) => run.firstTokenMs[request] as number),
    skeleton: Int32Array.from(counted, (request) => run.skeleton[request] as number),
    all: members.length,
  };
}

function scaleOf({ compiled }: AnalyticParts, whatIf: WhatIf): WorkScale {
  const scale: { -readonly [key in keyof WorkScale]: Float64Array } = {};
  if (whatIf.components) scale.components = Float64Array.from(compiled.components, (name) => whatIf.components?.[name] ?? 1);
  if (whatIf.models) scale.models = Float64Array.from(compiled.models, (name) => whatIf.models?.[name] ?? 1);
  if (whatIf.edges) {
    const { edges } = whatIf;
    scale.edges = Float64Array.from(compiled.edges, (edge) => {
      return edges[`${compiled.components[edge.from]}->${compiled.components[edge.to]}`] ?? 1;
    });
  }
  return scale;
}
