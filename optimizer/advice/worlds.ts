import {
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  type Distribution,
  type Profile,
  type ProtocolPrice,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { distribution } from '../../profiler/analyze/distribution.ts';
import type { TracedRequest } from '../../profiler/analyze/traced-request.ts';
import { withCpuShare } from '../../profiler/analyze/traced-requests.ts';
import { quantiles } from '../../profiler/stats/quantiles.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import type { PredictorInput } from '../predict/input.ts';
import type { Workload } from '../predict/workload.ts';
import { callsOf, visitsOf } from './replay.ts';

/** What both worlds are made from. */
export interface WorldInput {
  readonly workflow: Workflow;
  readonly baseline: Configuration;
  readonly requests: readonly TracedRequest[];
  /** Components whose own code runs on processors of the application; databases, people and strangers are not. */
  readonly own: ReadonlySet<string>;
  /** Requests per second of each class. */
  readonly perSecond: { readonly [requestClass: string]: number };
  readonly pricing: PricesConfig;
  /** Edges between processes of which no hop was seen, as `from->to`, and what one may take, in ms. */
  readonly unseenHops: { readonly edges: ReadonlySet<string>; readonly mostMs: number };
  readonly seed: number;
}

/**
 * One consistent reading of what the traces leave open. `kind`: layouts matter as much as the traces allow (own time is
 * waiting, and all of a hop goes away with it). `hard`: as little as they allow (own time is all CPU, so joined work gets in
 * its own way, and waits for a busy callee stay).
 */
export interface World {
  readonly requests: readonly TracedRequest[];
  /** For the predictors; channels of the baseline speak `as-traced`, at the price the traces show. */
  readonly predictor: PredictorInput;
  readonly baseline: Configuration;
}

const asTraced = 'as-traced';
/** See `separateLoopWaits`: wires of one edge differ by little, so what is beyond twice the lower quartile was a wait. */
const usualTimes = 2;
/** It ran, so no process was busier than this; the ceiling of the closed-loop model. */
const busiest = 0.98;

export function worldOf(kind: 'kind' | 'hard', input: WorldInput): World {
  const limits = quietHops(input.requests);
  const share = kind === 'kind' ? 0 : possibleCpuShare(input);
  const requests = input.requests
    .map((request) => ({
      ...request,
      root: kind === 'kind' ? withUnseenHops(request.root, input.unseenHops) : quietVisit(request.root, limits),
    }))
    .map((request) => withCpuShare(request, share, input.own));
  const baseline = tracedChannels(input.baseline);
  const prices = tracedPrices(requests, baseline, kind);
  return {
    requests,
    baseline,
    predictor: {
      profile: profileOf(requests),
      workflow: input.workflow,
      prices,
      workload: workloadOf(input.perSecond),
      pricing: input.pricing,
      // Nothing is known of hosts, so none is short of cores.
      hostCores: Math.max(1, ...[input.baseline.units.reduce((sum, unit) => sum + unit.replicas, 0)]),
      seed: input.seed,
    },
  };
}

/** The same layout with every channel speaking what was traced. */
export const tracedChannels = (configuration: Configuration): Configuration =>
  canonicalConfiguration({
    ...configuration,
    channels: Object.fromEntries(
      Object.keys(configuration.channels).map((channel) => [channel, { protocol: asTraced, options: { channel } }]),
    ),
  });

function quietHops(requests: readonly TracedRequest[]): ReadonlyMap<string, number> {
  const hops = new Map<string, number[]>();
  for (const { root } of requests) {
    for (const { from, call } of callsOf(root)) {
      const key = `${from}->${call.visit.component}`;
      hops.set(key, [...(hops.get(key) ?? []), call.hopMs]);
    }
  }
  return new Map([...hops].map(([key, times]) => [key, usualTimes * (quantiles(times, [0.25])[0] ?? 0)]));
}

function quietVisit(visit: TracedRequest['root'], limits: ReadonlyMap<string, number>): TracedRequest['root'] {
  return {
    component: visit.component,
    phases: visit.phases.map((phase) => ({
      ...phase,
      calls: phase.calls.map((call) => {
        if (call.kind === 'model') return call;
        const hopMs = Math.min(call.hopMs, limits.get(`${visit.component}->${call.visit.component}`) ?? call.hopMs);
        return { ...call, hopMs, visit: quietVisit(call.visit, limits) };
      }),
    })),
  };
}

/** Hops that nobody timed are inside the own time of the caller, so together they are at most that. */
function withUnseenHops(visit: TracedRequest['root'], unseen: WorldInput['unseenHops']): TracedRequest['root'] {
  if (unseen.edges.size === 0) return visit;
  let leftMs = visit.phases.reduce((sum, phase) => sum + phase.selfMs, 0);
  return {
    component: visit.component,
    phases: visit.phases.map((phase) => ({
      ...phase,
      calls: phase.calls.map((call) => {
        if (call.kind === 'model') return call;
        const inside = { ...call, visit: withUnseenHops(call.visit, unseen) };
        if (call.hopMs > 0 || !unseen.edges.has(`${visit.component}->${call.visit.component}`)) return inside;
        const hopMs = Math.min(unseen.mostMs, leftMs);
        leftMs -= hopMs;
        return { ...inside, hopMs };
      }),
    })),
  };
}

/** Share of own time that can be CPU at most: the busiest process kept up with its requests. */
export function possibleCpuShare({
  requests,
  baseline,
  perSecond,
  own,
}: Pick<WorldInput, 'requests' | 'baseline' | 'perSecond' | 'own'>): number {
  const rate = Object.values(perSecond).reduce((sum, each) => sum + each, 0);
  const busy = new Map<string, number>();
  for (const { root } of requests) {
    for (const visit of visitsOf(root)) {
      if (!own.has(visit.component)) continue;
      const ms = visit.phases.reduce((sum, phase) => sum + phase.selfMs, 0);
      busy.set(visit.component, (busy.get(visit.component) ?? 0) + ms / requests.length);
    }
  }
  const utilization = baseline.units.map(
    (unit) => (unit.components.reduce((sum, name) => sum + (busy.get(name) ?? 0), 0) * rate) / 1000 / unit.replicas,
  );
  const most = Math.max(0, ...utilization);
  return most > busiest ? busiest / most : 1;
}

/** Fixed and per-KB time of the hops of each channel, by least squares where sizes are told and explain something. */
function tracedPrices(requests: readonly TracedRequest[], baseline: Configuration, kind: 'kind' | 'hard'): ProtocolPrice[] {
  const samples = new Map<string, { kb: number; ms: number }[]>();
  for (const { root } of requests) {
    for (const { from, call } of callsOf(root)) {
      const channel = `${from}->${call.visit.component}`;
      const list = samples.get(channel) ?? [];
      samples.set(channel, list);
      list.push({ kb: (call.requestBytes + call.responseBytes) / 1024, ms: call.hopMs });
    }
  }
  return Object.keys(baseline.channels).map((channel) => {
    const { fixedMs, perKbMs } = line(samples.get(channel) ?? []);
    // CPU of a foreign hop is not told. All of it on the loops is the most there can be, and moving it off them the most there is to win.
    const share = kind === 'kind' ? 1 : 0;
    return {
      protocol: asTraced,
      options: canonicalJson({ channel }),
      latencyFixedMs: fixedMs,
      latencyPerKbMs: perKbMs,
      cpuFixedMs: fixedMs * share,
      cpuPerKbMs: perKbMs * share,
    };
  });
}

function line(samples: readonly { readonly kb: number; readonly ms: number }[]): { readonly fixedMs: number; readonly perKbMs: number } {
  const n = Math.max(1, samples.length);
  const kb = samples.reduce((sum, each) => sum + each.kb, 0) / n;
  const ms = samples.reduce((sum, each) => sum + each.ms, 0) / n;
  const spread = samples.reduce((sum, each) => sum + (each.kb - kb) ** 2, 0);
  const slope = spread > 0 ? samples.reduce((sum, each) => sum + (each.kb - kb) * (each.ms - ms), 0) / spread : 0;
  const perKbMs = Math.min(Math.max(0, slope), kb > 0 ? ms / kb : 0);
  return { fixedMs: ms - perKbMs * kb, perKbMs };
}

const workloadOf = (perSecond: WorldInput['perSecond']): Workload =>
  Object.fromEntries(Object.entries(perSecond).map(([name, rate]) => [name, { process: 'poisson', perSecond: Math.max(rate, 1e-6) }]));

/** As much of a profile as predictors and bounds read. */
function profileOf(requests: readonly TracedRequest[]): Profile {
  const visits = new Map<string, { cpuMs: number[]; selfMs: number[] }>();
  const counts = new Map<string, number>();
  for (const { root, requestClass } of requests) {
    counts.set(requestClass, (counts.get(requestClass) ?? 0) + 1);
    for (const visit of visitsOf(root)) {
      const entry = visits.get(visit.component) ?? { cpuMs: [], selfMs: [] };
      visits.set(visit.component, entry);
      entry.cpuMs.push(visit.phases.reduce((sum, phase) => sum + phase.cpuMs, 0));
      entry.selfMs.push(visit.phases.reduce((sum, phase) => sum + phase.selfMs, 0));
    }
  }
  const n = Math.max(1, requests.length);
  const none: Distribution = distribution([]);
  return {
    schemaVersion: 1,
    configurationId: 'traced',
    blockIds: [],
    provenance: 'modelled',
    traces: { requests: requests.length, unbrokenShare: 1, spans: 0, dropped: 0, darkComponents: [] },
    classShares: Object.fromEntries([...counts].map(([name, count]) => [name, count / n])),
    components: Object.fromEntries(
      [...visits].map(([name, { cpuMs, selfMs }]) => [
        name,
        {
          visitsPerRequest: cpuMs.length / n,
          cpuMs: distribution(cpuMs),
          selfMs: distribution(selfMs),
          queueMs: none,
          heldMs: none,
          errorRate: 0,
          osCpuMs: null,
        },
      ]),
    ),
    edges: {},
    models: {},
    skeletons: requests,
    criticalPath: { working: 0, communication: 0, queueing: 0, model: 0, ingress: 0 },
    overheadCpuMsPerRequest: 0,
  };
}
