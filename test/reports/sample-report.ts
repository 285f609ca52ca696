import { type Configuration, canonicalConfiguration, configurationId, type Estimate } from '../../compiler/contracts/index.ts';
import type { Report, ReportBlock, ReportTrial } from '../../reports/report.ts';

/** A report as a study would give it, with made-up numbers: five layouts, one of them failed. */
const estimate = (point: number, spread = 0.05): Estimate => ({
  point,
  low: point * (1 - spread),
  high: point * (1 + spread),
  level: 0.95,
  n: 3,
  provenance: 'simulated',
});

export function configurationOf(groups: readonly (readonly string[])[]): Configuration {
  return canonicalConfiguration({
    schemaVersion: 1,
    units: groups.map((components) => ({ id: '', components, replicas: 1, resources: { vcpu: 1, memoryMb: 256 } })),
    channels: {},
    serving: {},
  });
}

function block(id: string, valid: boolean): ReportBlock {
  const latencyMs = { n: 40, mean: 410, p50: 400, p90: 480, p95: 520, p99: 600, max: 640 };
  return {
    id,
    purpose: 'race',
    round: 1,
    deploymentId: 'd1',
    valid,
    faults: valid ? [] : [{ fault: 'host-bound', detail: 'the host was 93 % busy' }],
    classes: {
      trip: {
        requests: 40,
        ok: 40,
        errors: {},
        errorRate: 0,
        completion: 1,
        throughputPerSecond: 4,
        latencyMs,
        firstChunkMs: null,
        gapMs: null,
      },
    },
    usage: [{ id: 'travel', replica: 0, cpuSeconds: 0.4, peakMemoryMb: 90, restarts: 0 }],
    usdPer1000: 0.01,
    incidents: [],
  };
}

function trial(
  number: number,
  label: string,
  roles: ReportTrial['roles'],
  groups: readonly (readonly string[])[],
  p50: number,
  cost: number,
): ReportTrial {
  const configuration = configurationOf(groups);
  return {
    number,
    configurationId: configurationId(configuration),
    label,
    roles,
    state: 'measured',
    failure: null,
    configuration,
    layout: configuration.units.map((unit) => unit.components.join(' + ')),
    changes: number === 0 ? [] : ['weather and weather-tools now share a process'],
    deployments: 2,
    blocks: [block(`r1-${number}`, true), block(`r2-${number}`, number !== 1)],
    p50Ms: estimate(p50),
    p95Ms: estimate(p50 * 1.3),
    usdPer1000: estimate(cost, 0.01),
    cpuMsPerRequest: estimate(8 + groups.length * 2),
    errorRate: 0,
    throughputPerSecond: 4,
    grants: 3 + 2 * groups.length,
    slo: [{ metric: 'latency.p95', requestClass: 'trip', value: p50 * 1.3, holds: p50 < 450 }],
    prediction: null,
    predictedRatio: number === 0 ? 1 : 1.04,
  };
}

const all = ['guide-tools', 'research', 'travel', 'weather', 'weather-tools'];
const baseline = trial(
  0,
  'baseline',
  ['baseline', 'one-per-agent'],
  all.map((name) => [name]),
  420,
  0.014,
);
const allInOne = trial(1, 'all in one', ['all-in-one'], [all], 460, 0.0031);
const winner = trial(
  2,
  'layout 2',
  ['candidate', 'winner'],
  [
    ['travel', 'weather', 'weather-tools'],
    ['guide-tools', 'research'],
  ],
  390,
  0.0058,
);
const failed: ReportTrial = {
  ...trial(3, 'layout 3', ['candidate'], [['travel'], ['weather', 'research', 'weather-tools', 'guide-tools']], 400, 0.006),
  state: 'failed',
  failure: { code: 'DMAS_DEPLOY_FAILED', message: 'unit research did not start' },
  blocks: [],
  p50Ms: null,
  p95Ms: null,
  usdPer1000: null,
  cpuMsPerRequest: null,
  errorRate: null,
  throughputPerSecond: null,
  predictedRatio: null,
};

const waterfall = (configurationId: string, hopMs: number): Report['waterfalls']['before'] => ({
  configurationId,
  requestClass: 'trip',
  totalMs: 400 + hopMs,
  rows: [
    { depth: 0, lane: 'travel', label: 'ingress', kind: 'ingress', startMs: 0, durationMs: 400 + hopMs, critical: true, detail: '' },
    {
      depth: 1,
      lane: 'travel',
      label: 'invoke_agent travel',
      kind: 'working',
      startMs: 1,
      durationMs: 398 + hopMs,
      critical: true,
      detail: '',
    },
    {
      depth: 2,
      lane: 'travel',
      label: 'chat main',
      kind: 'model',
      startMs: 2,
      durationMs: 120,
      critical: true,
      detail: '220 tokens in, 40 out',
    },
    {
      depth: 2,
      lane: 'travel',
      label: 'call weather',
      kind: 'communication',
      startMs: 123,
      durationMs: 130 + hopMs,
      critical: true,
      detail: '1.2 KB',
    },
    { depth: 3, lane: 'weather', label: 'chat main', kind: 'model', startMs: 125, durationMs: 120, critical: true, detail: '' },
    { depth: 2, lane: 'travel', label: 'call research', kind: 'communication', startMs: 123, durationMs: 90, critical: false, detail: '' },
    {
      depth: 3,
      lane: 'guide-tools',
      label: 'execute_tool search-guides',
      kind: 'tool',
      startMs: 140,
      durationMs: 30,
      critical: false,
      detail: '',
    },
    { depth: 2, lane: 'travel', label: 'chat main', kind: 'model', startMs: 255 + hopMs, durationMs: 140, critical: true, detail: '' },
  ],
});

const edge = (from: string, to: string, ms: number) => ({
  from,
  to,
  protocol: 'http-json',
  callsPerRequest: 1,
  bytesPerRequest: 1840,
  serializeMsPerRequest: ms / 4,
  transportMsPerRequest: ms,
});

const curve = (value: (index: number) => number) => Array.from({ length: 40 }, (_, index) => Number(value(index).toFixed(2)));
const agentUse = (agent: string, waitShare: number) => ({
  agent,
  calls: 2,
  tokensIn: 550,
  tokensCached: 490,
  tokensOut: 99,
  waitMs: 660 * waitShare,
  waitShare,
  queueMs: 3,
  usdPer1000: 0.3 * waitShare,
});
const models: NonNullable<Report['models']> = {
  pools: [
    {
      pool: 'main@research+summarizer-of-everything~1f2e3d4c',
      model: 'main',
      source: 'simulated',
      provenance: 'simulated',
      estimate: true,
      replicas: 2,
      gpus: { gpu: 'H100', count: 4 },
      perRequest: { calls: 6, tokensIn: 1650, tokensCached: 1470, tokensOut: 297, waitMs: 660, queueMs: 9 },
      usdPer1000: { tokens: 0, gpus: 0.3 },
      agents: [agentUse('research', 0.6), agentUse('travel', 0.4)],
      engine: {
        tokensIn: 20_000,
        tokensCached: 15_000,
        tokensOut: 5_000,
        preemptions: 2,
        gaps: 1,
        fromMs: 3_000,
        toMs: 17_000,
        timeToFirstTokenMs: { n: 100, mean: 41, p95AtMost: 100 },
        timePerOutputTokenMs: { n: 100, mean: 8, p95AtMost: 10 },
        queueMs: { n: 100, mean: 3, p95AtMost: 60 },
        prefillMs: { n: 100, mean: 38, p95AtMost: 300 },
        decodeMs: { n: 100, mean: 400, p95AtMost: 800 },
        running: { mean: 12, max: 30 },
        waiting: { mean: 1, max: 9 },
        kvUse: { mean: 0.4, max: 0.9 },
        gpuUse: 0.8,
        gpuMemoryMb: 71_000,
        gpuPowerW: 412,
        series: {
          atMs: curve((index) => index * 500),
          running: curve((index) => 15 + 15 * Math.sin(index / 4)),
          waiting: curve((index) => Math.max(0, 9 * Math.sin(index / 4))),
          kvUse: curve((index) => 0.5 + 0.4 * Math.sin(index / 5)),
        },
        gpuSeries: { atMs: curve((index) => index * 500), use: curve((index) => 0.8 + 0.15 * Math.cos(index / 3)) },
      },
    },
  ],
};

export const sampleReport: Report = {
  models,
  schemaVersion: 1,
  toolVersion: '0.1.0',
  studyId: 'travel-planner-sample',
  scenario: { name: 'travel-planner', file: 'scenario.yaml', sha256: 'a'.repeat(64), seed: 11, target: 'process' },
  startedAtMs: Date.UTC(2026, 0, 2, 3, 4),
  endedAtMs: Date.UTC(2026, 0, 2, 3, 5, 36),
  state: 'completed',
  stateDetail: null,
  machine: { cores: 2, memoryMb: 24_000, cpuModel: 'sample', platform: 'linux', node: '20.20.2' },
  objective: { minimize: ['cost'], slo: [{ requestClass: 'trip', metric: 'latency.p95', max: 600, min: null }], margin: 0.03 },
  verdict: {
    kind: 'better',
    sentence: 'Put travel, weather and weather-tools in one process: cost −59 % [−60, −58] with p95 inside its limit, over 6 pairs.',
    baselineId: baseline.configurationId,
    winnerId: winner.configurationId,
    comparisons: [
      {
        metric: 'cost.usdPer1000',
        unit: 'usd',
        baselineConfigurationId: baseline.configurationId,
        challengerConfigurationId: winner.configurationId,
        baseline: 0.014,
        challenger: 0.0058,
        ratio: { ...estimate(0.414, 0.02), n: 6 },
        lowerIsBetter: true,
        verdict: 'better',
        pairs: 6,
        excludedBlocks: 1,
        reason: 'the whole interval lies below the margin',
      },
      {
        metric: 'latency.p50',
        requestClass: 'trip',
        unit: 'ms',
        baselineConfigurationId: baseline.configurationId,
        challengerConfigurationId: winner.configurationId,
        baseline: 420,
        challenger: 390,
        ratio: { ...estimate(0.97, 0.08), n: 6 },
        lowerIsBetter: true,
        verdict: 'inconclusive',
        pairs: 6,
        excludedBlocks: 1,
        reason: 'the interval allows both',
      },
    ],
    provenance: 'simulated',
    apply: 'node best/start.mjs',
  },
  headroom: {
    latency: { trip: { baselineMs: 420, boundMs: 381, savingShare: 0.093 } },
    cost: { baselineUsdPer1000: 0.014, boundUsdPer1000: 0.0031, savingShare: 0.78 },
    communicationShare: 0.06,
    queueingShare: 0.03,
    sentence: 'At most 9 % of latency and 78 % of cost could be saved by any layout.',
    worthwhile: true,
  },
  capacity: { requestsPerSecond: 31.5, clients: 8, offeredPerSecond: 4, offeredShare: 0.127 },
  whereItGoes: {
    criticalPath: { working: 0.11, communication: 0.06, queueing: 0.03, model: 0.79, ingress: 0.01 },
    components: all.map((name, index) => ({
      name,
      visitsPerRequest: 1,
      cpuMsPerRequest: 1 + index,
      selfMsPerRequest: 2 + index * 3,
      queueMsPerRequest: 0.1,
    })),
    edges: [
      edge('travel', 'weather', 2.1),
      edge('travel', 'research', 2.4),
      edge('weather', 'weather-tools', 1.2),
      edge('research', 'guide-tools', 1.9),
    ],
    models: [
      {
        model: 'main',
        callsPerRequest: 6,
        tokensInPerRequest: 1200,
        tokensCachedPerRequest: 300,
        tokensOutPerRequest: 420,
        latencyMsP50: 120,
        queueMsPerRequest: 4,
        usdPer1000Requests: 0.4,
        provenance: 'simulated',
      },
    ],
  },
  traces: { requests: 120, unbrokenShare: 0.992, spans: 2900, dropped: 0, darkComponents: [] },
  trials: [baseline, allInOne, winner, failed],
  front: [allInOne.configurationId, winner.configurationId],
  search: { strategy: 'exact', evaluated: 52, pruned: 0, spaceSize: 52, optimalUnder: 'predictor', gap: 0 },
  explanation: ['travel → weather is now a function call: 2.1 ms and 1.8 KB less per request.'],
  waterfalls: { before: waterfall(baseline.configurationId, 12), after: waterfall(winner.configurationId, 1) },
  warnings: [{ code: 'simulated-model', message: 'A model is simulated.', advice: 'Bind a real endpoint to measure it.' }],
  prices: { source: 'sample prices', vcpuHourUsd: 0.04, memoryGbHourUsd: 0.004 },
  tracingOverhead: { cpuRatio: 1.21, p50Ratio: 1.007 },
};
