import {
  type Agent,
  type Block,
  type Configuration,
  defaultResources,
  fromPartition,
  type ProcessUsage,
  type SpanRecord,
  type Workflow,
} from '../../../compiler/contracts/index.ts';

const agent = (name: string, model?: string): Agent => ({
  name,
  kind: 'code',
  description: '',
  mobility: 'movable',
  effect: 'readOnly',
  input: {},
  output: {},
  concurrency: 64,
  streams: false,
  ...(model === undefined ? {} : { model }),
  usesSessionState: false,
  blackboards: [],
  secrets: [],
  domains: [],
  source: { module: 'workflow.ts', exportName: name },
});

/** A workflow of agents of which the first is the entry, with a channel for each pair given. */
export function workflowOf(names: readonly string[], pairs: readonly (readonly [string, string])[]): Workflow {
  return {
    schemaVersion: 1,
    name: 'fixture',
    frontend: 'ts',
    file: '/fixture/workflow.ts',
    agents: names.map((name) => agent(name)),
    toolServers: [],
    tools: [],
    models: ['main'],
    topics: [],
    graphs: [],
    blackboards: [],
    channels: pairs.map(([from, to]) => ({
      id: `${from}->${to}`,
      kind: 'agent',
      from: [from],
      to: [to],
      patterns: ['request'],
      repeatable: true,
    })),
    entry: { kind: 'agent', agent: names[0] ?? '' },
  };
}

export function configurationOf(workflow: Workflow, groups: readonly (readonly string[])[]): Configuration {
  return fromPartition(workflow, groups, { protocol: { protocol: 'http-json', options: {} }, resources: defaultResources, serving: {} });
}

export const startMs = 1_700_000_000_000;

/** A block around given spans: `requests` of one class, no warm-up. */
export function blockOf(requests: number, usage: readonly ProcessUsage[] = [], more: Partial<Block> = {}): Block {
  const results = {
    requests,
    ok: requests,
    errors: {},
    errorRate: 0,
    completion: 1,
    throughputPerSecond: requests,
    latencyMs: null,
    firstChunkMs: null,
    gapMs: null,
  };
  return {
    schemaVersion: 1,
    id: 'b1',
    purpose: 'profile',
    configurationId: 'cafe',
    deploymentId: 'd1',
    round: 0,
    seed: 1,
    startedAtMs: startMs,
    warmupMs: 0,
    durationMs: 1000,
    samplingRatio: 1,
    classes: { interactive: results },
    usage,
    load: { offeredPerSecond: 1, deliveredPerSecond: 1, lagP99Ms: 0, driverCpuFraction: 0, hostCpuFraction: 0 },
    money: { allocatedUsd: 0, tokensUsd: 0, trafficUsd: 0, gpuUsd: 0, totalUsd: 0, usdPer1000Requests: 0, usdPerHour: 0 },
    quality: { valid: true, faults: [] },
    incidents: [],
    provenance: 'simulated',
    ...more,
  };
}

/** Makes spans of one trace by hand: short, with ids counted up. */
export function tracer(traceId: string, attributes: SpanRecord['attributes'] = {}) {
  const spans: SpanRecord[] = [];
  const add = (
    parent: SpanRecord | null,
    name: string,
    kind: SpanRecord['kind'],
    [from, to]: readonly [number, number],
    unit: string,
    more: SpanRecord['attributes'] = {},
  ): SpanRecord => {
    const [verb = '', callee = ''] = name.split(' ');
    const span: SpanRecord = {
      traceId,
      spanId: `${traceId}-${spans.length}`,
      ...(parent ? { parentSpanId: parent.spanId } : {}),
      name,
      kind,
      startMs: startMs + from,
      durationMs: to - from,
      ok: true,
      unit,
      replica: 0,
      attributes: { ...(verb === 'call' || verb === 'serve' ? { 'dmas.to': callee } : {}), ...attributes, ...more },
    };
    spans.push(span);
    return span;
  };
  return { spans, add };
}
