import type { Block, Configuration, Estimate, Prediction, TrialRole } from '../compiler/contracts/index.ts';
import { checkLimit, meanOver } from '../profiler/stats/limits.ts';
import type { ReportInput } from './build.ts';
import { unitUsage } from './build-units.ts';
import type { ReportBlock, ReportTrial } from './report.ts';

export interface TrialSource {
  readonly number: number;
  readonly configurationId: string;
  readonly configuration: Configuration;
  readonly roles: readonly TrialRole[];
  readonly prediction: Prediction | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly blocks: readonly Block[];
}

export function buildTrials(sources: readonly TrialSource[], input: ReportInput): ReportTrial[] {
  const baseline = sources.find((source) => source.roles.includes('baseline'));
  return sources.map((source) => buildTrial(source, baseline?.configuration, input));
}

/** Blocks a number may rest on: valid ones of race, confirmation and given trials; profiling blocks carry full tracing. */
const judged = (block: Block) => block.quality.valid && block.purpose !== 'profile' && block.purpose !== 'capacity';

function buildTrial(source: TrialSource, baseline: Configuration | undefined, input: ReportInput): ReportTrial {
  const blocks = source.blocks.filter(judged);
  const main = mainClass(blocks);
  const p50Ms = meanOver(blocks, 'latency.p50', main);
  const p95Ms = meanOver(blocks, 'latency.p95', main);
  const cpuSeconds = meanOver(blocks, 'cpu');
  const units = unitUsage(blocks);
  const predicted = source.prediction?.classes[main]?.p50Ms.point;
  return {
    number: source.number,
    configurationId: source.configurationId,
    label: labelOf(source),
    roles: source.roles,
    state: source.failure ? 'failed' : blocks.length > 0 ? 'measured' : 'pending',
    failure: source.failure,
    configuration: source.configuration,
    layout: input.describe(source.configuration),
    changes: baseline ? input.changes(baseline, source.configuration) : [],
    deployments: new Set(source.blocks.map((block) => block.deploymentId)).size,
    blocks: source.blocks.map(reportBlock),
    p50Ms,
    p95Ms,
    usdPer1000: meanOver(blocks, 'cost'),
    cpuMsPerRequest: cpuSeconds && scaled(cpuSeconds, 1000),
    errorRate: meanOver(blocks, 'errorRate')?.point ?? null,
    throughputPerSecond: meanOver(blocks, 'throughput')?.point ?? null,
    grants: source.blocks.find((block) => block.grants !== undefined)?.grants ?? source.prediction?.grants ?? null,
    slo: input.scenario.config.objective.slo.map((limit) => {
      const { value, holds } = checkLimit(blocks, limit);
      return { metric: limit.metric, requestClass: limit.class ?? null, value: value?.point ?? null, holds };
    }),
    prediction: source.prediction,
    predictedRatio: predicted !== undefined && p50Ms ? predicted / p50Ms.point : null,
    ...(units === undefined ? {} : { units }),
  };
}

function labelOf({ roles, number }: TrialSource): string {
  if (roles.includes('baseline')) return 'baseline';
  if (roles.includes('all-in-one')) return 'all in one';
  if (roles.includes('one-per-agent')) return 'one per agent';
  return `layout ${number}`;
}

/** The class with the most requests; its latency stands for a trial where one number must. */
function mainClass(blocks: readonly Block[]): string {
  const classes = Object.entries(blocks[0]?.classes ?? {});
  return classes.sort((a, b) => b[1].requests - a[1].requests)[0]?.[0] ?? 'default';
}

const scaled = (estimate: Estimate, factor: number): Estimate => ({
  ...estimate,
  point: estimate.point * factor,
  low: estimate.low * factor,
  high: estimate.high * factor,
});

function tokensPer1000({ classes, money }: Block) {
  const requests = Object.values(classes).reduce((sum, each) => sum + each.requests, 0);
  const per1000 = (usd: number) => (requests > 0 ? (usd / requests) * 1000 : 0);
  return { tokensUsdPer1000: per1000(money.tokensUsd), tokensFixedUsdPer1000: per1000(money.tokensFixedUsd ?? money.tokensUsd) };
}

function reportBlock(block: Block): ReportBlock {
  return {
    id: block.id,
    purpose: block.purpose,
    round: block.round,
    deploymentId: block.deploymentId,
    valid: block.quality.valid,
    faults: block.quality.faults,
    classes: block.classes,
    usage: block.usage,
    usdPer1000: block.money.usdPer1000Requests,
    ...(block.replay === undefined ? {} : { replay: { ...block.replay, ...tokensPer1000(block) } }),
    incidents: block.incidents,
  };
}
