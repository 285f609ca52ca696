import type { Block, ClassResult, Estimate } from '../compiler/contracts/index.ts';
import { highestShare } from '../profiler/stats/binomial.ts';
import { checkLimit, type LimitCheck, meanOver } from '../profiler/stats/limits.ts';
import type { ReportTrial } from '../reports/report.ts';
import type { Project } from './project.ts';

/** One number of the report beside what was measured now. */
export interface VerifiedNumber {
  readonly name: string;
  readonly unit: 'ms' | 'usd' | 'share';
  readonly reported: Estimate | null;
  readonly measured: Estimate | null;
  /**
   * `inside`: what was measured lies in the report's interval, widened by the margin of the objective (a share: by nothing).
   * `worse` and `better`: not even its own interval touches that. `undecided`: neither, or one of the two is missing.
   */
  readonly verdict: 'inside' | 'worse' | 'better' | 'undecided';
}

export interface Verification {
  readonly numbers: readonly VerifiedNumber[];
  readonly limits: readonly (LimitCheck & { readonly metric: string; readonly requestClass: string | null })[];
  readonly blocks: readonly Block[];
}

/** What was measured on what is deployed, held against what the report says of the same layout. */
export function judge(blocks: readonly Block[], trial: ReportTrial, project: JudgedProject): Verification {
  const { margin, slo } = project.scenario.config.objective;
  const main = mainClass(blocks);
  const number = (name: string, unit: VerifiedNumber['unit'], reported: Estimate | null, metric: string, requestClass?: string) => {
    const measured = meanOver(blocks, metric, requestClass);
    return { name, unit, reported, measured, verdict: against(reported, measured, margin) };
  };
  const reportedErrors = errorsOf(trial.blocks.filter(({ valid }) => valid));
  const errors = errorsOf(blocks.filter(({ quality }) => quality.valid));
  return {
    blocks,
    numbers: [
      number(`p50 of ${main}`, 'ms', trial.p50Ms, 'latency.p50', main),
      number(`p95 of ${main}`, 'ms', trial.p95Ms, 'latency.p95', main),
      number('cost per 1000 requests', 'usd', trial.usdPer1000, 'cost'),
      { name: 'error rate', unit: 'share', reported: reportedErrors, measured: errors, verdict: against(reportedErrors, errors, 0) },
    ],
    limits: slo.map((limit) => ({ metric: limit.metric, requestClass: limit.class ?? null, ...checkLimit(blocks, limit) })),
  };
}

type JudgedProject = { readonly scenario: { readonly config: Pick<Project['scenario']['config'], 'objective'> } };

function against(reported: Estimate | null, measured: Estimate | null, margin: number): VerifiedNumber['verdict'] {
  if (reported === null || measured === null) return 'undecided';
  const [low, high] = [reported.low * (1 - margin), reported.high * (1 + margin)];
  if (measured.point >= low && measured.point <= high) return 'inside';
  if (measured.low > high) return 'worse';
  return measured.high < low ? 'better' : 'undecided';
}

const level = 0.95;

/**
 * Share of requests that failed, over all classes and blocks, with the exact interval of Clopper and Pearson (1934). A
 * mean over blocks would have no width where no block saw a failure, and one failure would then count as worse.
 */
function errorsOf(blocks: readonly { readonly classes: { readonly [requestClass: string]: ClassResult } }[]): Estimate | null {
  const classes = blocks.flatMap((block) => Object.values(block.classes));
  const requests = classes.reduce((sum, each) => sum + each.requests, 0);
  if (requests === 0) return null;
  const failed = Math.round(classes.reduce((sum, each) => sum + each.errorRate * each.requests, 0));
  const alpha = (1 - level) / 2;
  const low = 1 - highestShare(requests - failed, requests, alpha);
  return { point: failed / requests, low, high: highestShare(failed, requests, alpha), level, n: requests, provenance: 'measured' };
}

/** The class with the most requests. */
export function mainClass(blocks: readonly Block[]): string {
  const classes = Object.entries(blocks[0]?.classes ?? {});
  return classes.sort((a, b) => b[1].requests - a[1].requests)[0]?.[0] ?? 'default';
}
