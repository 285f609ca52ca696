import {
  type Agent,
  type ChannelConfiguration,
  createRandom,
  type Distribution,
  type LayoutDefaults,
  type Mobility,
  type Profile,
  type ProtocolPrice,
  type Random,
  type RequestSkeleton,
  type SkeletonCall,
  type SkeletonVisit,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import type { PredictorInput } from '../../optimizer/predict/input.ts';
import type { Workload } from '../../optimizer/predict/workload.ts';
import type { Space } from '../../optimizer/space/space.ts';
import { type PricesConfig, type ScenarioConfig, scenarioSchema } from '../../scenarios/schema.ts';

/** Workflows, profiles and spaces made up for tests, where the truth is known because we wrote it. */

export interface AgentSpec {
  readonly concurrency?: number;
  readonly mobility?: Mobility;
}

export function workflowOf(
  agents: { readonly [name: string]: AgentSpec },
  edges: readonly (readonly [from: string, to: string])[],
  entry = Object.keys(agents)[0] ?? 'a',
): Workflow {
  const agent = (name: string, spec: AgentSpec): Agent => ({
    name,
    kind: 'code',
    description: '',
    mobility: spec.mobility ?? 'movable',
    effect: 'readOnly',
    input: {},
    output: {},
    concurrency: spec.concurrency ?? 1_000_000,
    streams: false,
    usesSessionState: false,
    blackboards: [],
    secrets: [],
    domains: [],
    source: { module: 'workflow.ts', exportName: name },
  });
  return {
    schemaVersion: 1,
    name: 'synthetic',
    frontend: 'native',
    file: 'workflow.ts',
    agents: Object.entries(agents).map(([name, spec]) => agent(name, spec)),
    toolServers: [],
    tools: [],
    models: ['main'],
    topics: [],
    graphs: [],
    blackboards: [],
    channels: edges.map(([from, to]) => ({
      id: `${from}->${to}`,
      kind: 'agent',
      from: [from],
      to: [to],
      patterns: ['request'],
      repeatable: true,
    })),
    entry: { kind: 'agent', agent: entry },
  };
}

export const http: ChannelConfiguration = { protocol: 'http-json', options: {} };
export const grpc: ChannelConfiguration = { protocol: 'grpc', options: {} };

export const prices: readonly ProtocolPrice[] = [
  { protocol: 'http-json', options: '{}', latencyFixedMs: 1, latencyPerKbMs: 0.01, cpuFixedMs: 0.4, cpuPerKbMs: 0.005 },
  { protocol: 'grpc', options: '{}', latencyFixedMs: 1.2, latencyPerKbMs: 0.004, cpuFixedMs: 0.5, cpuPerKbMs: 0.002 },
];

export const defaults: LayoutDefaults = { protocol: http, resources: { vcpu: 1, memoryMb: 256 }, serving: {} };

export const scenario = (overrides: object = {}): ScenarioConfig => scenarioSchema.parse({ workflow: './workflow.ts', ...overrides });
export const pricing: PricesConfig = scenario().prices;

export function spaceOf(workflow: Workflow, overrides: Partial<Space> = {}): Space {
  const components = workflow.agents
    .filter((agent) => agent.mobility !== 'external')
    .map((agent) => agent.name)
    .sort();
  return {
    workflow,
    components,
    together: [],
    apart: [],
    maxUnits: Math.max(1, components.length),
    replicas: Object.fromEntries(components.map((name) => [name, { min: 1, max: 1 }])),
    protocols: Object.fromEntries(workflow.channels.map((channel) => [channel.id, [http]])),
    resources: {},
    serving: [{ pools: [] }],
    defaults,
    ...overrides,
  };
}

/** A turn that works (`cpu` on the event loop, then `wait` on a timer) and then makes all its calls at once. */
export const visit = (component: string, cpu: number, calls: readonly SkeletonCall[] = [], wait = 0): SkeletonVisit => ({
  component,
  phases: [{ selfMs: cpu + wait, cpuMs: cpu, calls }],
});

export const call = (callee: SkeletonVisit, requestBytes = 1024, responseBytes = 1024): SkeletonCall => ({
  kind: 'component',
  pattern: 'request',
  requestBytes,
  responseBytes,
  visit: callee,
});

export const send = (callee: SkeletonVisit, requestBytes = 1024): SkeletonCall => ({
  kind: 'component',
  pattern: 'send',
  requestBytes,
  responseBytes: 0,
  visit: callee,
});

export const modelCall = (measuredMs: number, tokensIn = 1000, tokensOut = 100): SkeletonCall => ({
  kind: 'model',
  model: 'main',
  tokensIn,
  tokensCached: 0,
  tokensOut,
  measuredMs,
});

export const skeleton = (root: SkeletonVisit, requestClass = 'default', measuredMs = 0): RequestSkeleton => ({
  requestClass,
  measuredMs: measuredMs || workOf(root),
  root,
});

function workOf(turn: SkeletonVisit): number {
  let ms = 0;
  for (const phase of turn.phases) {
    ms += phase.selfMs;
    for (const each of phase.calls) ms += each.kind === 'model' ? each.measuredMs : workOf(each.visit);
  }
  return ms;
}

export const flat = (mean: number): Distribution => ({ n: 1, mean, cv2: 0, quantiles: Array.from({ length: 21 }, () => mean) });

/** A profile with these requests; per-component and per-edge figures follow from them. */
export function profileOf(skeletons: readonly RequestSkeleton[], overrides: Partial<Profile> = {}): Profile {
  const visits = new Map<string, { n: number; cpu: number }>();
  const edges = new Map<string, { n: number; bytes: number }>();
  const classes = new Map<string, number>();
  const walk = (turn: SkeletonVisit): void => {
    const row = visits.get(turn.component) ?? { n: 0, cpu: 0 };
    row.n++;
    row.cpu += turn.phases.reduce((sum, phase) => sum + phase.cpuMs, 0);
    visits.set(turn.component, row);
    for (const each of turn.phases.flatMap((phase) => phase.calls)) {
      if (each.kind === 'model') continue;
      const edge = edges.get(`${turn.component}->${each.visit.component}`) ?? { n: 0, bytes: 0 };
      edge.n++;
      edge.bytes += each.requestBytes;
      edges.set(`${turn.component}->${each.visit.component}`, edge);
      walk(each.visit);
    }
  };
  for (const { root, requestClass } of skeletons) {
    walk(root);
    classes.set(requestClass, (classes.get(requestClass) ?? 0) + 1);
  }
  const n = Math.max(1, skeletons.length);
  return {
    schemaVersion: 1,
    configurationId: 'synthetic',
    blockIds: [],
    provenance: 'simulated',
    traces: { requests: n, unbrokenShare: 1, spans: 0, dropped: 0, darkComponents: [] },
    classShares: Object.fromEntries([...classes].map(([name, count]) => [name, count / n])),
    components: Object.fromEntries(
      [...visits].map(([name, row]) => [
        name,
        {
          visitsPerRequest: row.n / n,
          cpuMs: flat(row.cpu / row.n),
          selfMs: flat(row.cpu / row.n),
          queueMs: flat(0),
          heldMs: flat(row.cpu / row.n),
          errorRate: 0,
          osCpuMs: null,
        },
      ]),
    ),
    edges: Object.fromEntries(
      [...edges].map(([name, row]) => [
        name,
        {
          channel: name,
          callsPerRequest: row.n / n,
          requestBytes: flat(row.bytes / row.n),
          responseBytes: flat(row.bytes / row.n),
          protocol: 'http-json',
          serializeMs: flat(0.1),
          transportMs: flat(0.5),
        },
      ]),
    ),
    models: {},
    skeletons,
    criticalPath: { working: 0.7, communication: 0.2, queueing: 0.1, model: 0, ingress: 0 },
    overheadCpuMsPerRequest: 0,
    ...overrides,
  };
}

export const inputOf = (
  workflow: Workflow,
  profile: Profile,
  workload: Workload,
  overrides: Partial<PredictorInput> = {},
): PredictorInput => ({
  profile,
  workflow,
  prices,
  workload,
  pricing,
  hostCores: Number.POSITIVE_INFINITY,
  seed: 1,
  ...overrides,
});

export const poisson = (perSecond: number): Workload => ({ default: { process: 'poisson', perSecond } });

export interface RandomCase {
  readonly workflow: Workflow;
  readonly profile: Profile;
  readonly names: readonly string[];
}

/** A random call tree over `n` agents with random work; the same seed gives the same case. */
export function randomCase(n: number, seed: number, requests = 24): RandomCase {
  const random = createRandom(seed);
  const names = Array.from({ length: n }, (_, i) => `a${String(i).padStart(2, '0')}`);
  const parent = names.map((_, i) => (i === 0 ? -1 : random.integer(i)));
  const edges = names.slice(1).map((name, i) => [names[parent[i + 1] as number] as string, name] as const);
  const meanCpu = names.map(() => random.exponential(1.5));
  const build = (i: number): SkeletonVisit => {
    const children = names.map((_, j) => j).filter((j) => parent[j] === i);
    const calls: SkeletonCall[] = children
      .filter(() => random.next() < 0.9)
      .map((j) => {
        const [requestBytes, responseBytes] = [200 + random.integer(20_000), 200 + random.integer(20_000)];
        return random.next() < 0.15 ? send(build(j), requestBytes) : call(build(j), requestBytes, responseBytes);
      });
    if (random.next() < 0.2) calls.push(modelCall(random.exponential(10)));
    const cpu = random.exponential(meanCpu[i] as number);
    return random.next() < 0.5
      ? visit(names[i] as string, cpu, calls, random.exponential(2))
      : {
          component: names[i] as string,
          phases: calls.map((each) => ({ selfMs: cpu / calls.length, cpuMs: cpu / calls.length, calls: [each] })),
        };
  };
  return {
    workflow: workflowOf(Object.fromEntries(names.map((name) => [name, {}])), edges),
    profile: profileOf(Array.from({ length: requests }, () => skeleton(build(0)))),
    names,
  };
}

export const exponentials = (random: Random, n: number, mean: number): number[] =>
  Array.from({ length: n }, () => random.exponential(mean));
