import { type Block, type Estimate, weakest } from '../../compiler/contracts/index.ts';
import { metricOf, metricTraits } from './metrics.ts';
import { pairedInterval } from './paired.ts';

/** One limit of the objective as the scenario has it. Times in milliseconds. */
export interface Limit {
  readonly metric: string;
  /** Absent: every class. */
  readonly class?: string | undefined;
  readonly max?: number | undefined;
  readonly min?: number | undefined;
}

export interface LimitCheck {
  /** Mean over blocks with its interval; of the worst class when the limit names none. Null when not measured. */
  readonly value: Estimate | null;
  /** True: holds at the pessimistic end. False: broken even at the optimistic end. Null: the blocks do not tell. */
  readonly holds: boolean | null;
}

/** Whether a limit holds over the valid blocks of one configuration. */
export function checkLimit(blocks: readonly Block[], limit: Limit, level = 0.95): LimitCheck {
  const valid = blocks.filter((block) => block.quality.valid);
  const checks = classesOf(valid, limit).map((requestClass) => checkOne(valid, limit, requestClass, level));
  if (checks.length === 0) return { value: null, holds: null };
  const worst = checks.find((check) => check.holds === false) ?? checks.find((check) => check.holds === null) ?? checks[0];
  return worst ?? { value: null, holds: null };
}

/** All limits together: true when each holds, false when one is broken for certain, null otherwise. */
export function limitsHold(blocks: readonly Block[], limits: readonly Limit[]): boolean | null {
  const verdicts = limits.map((limit) => checkLimit(blocks, limit).holds);
  if (verdicts.includes(false)) return false;
  return verdicts.includes(null) ? null : true;
}

function classesOf(blocks: readonly Block[], limit: Limit): readonly (string | undefined)[] {
  if (limit.class !== undefined || !metricTraits(limit.metric).perClass) return [limit.class];
  return [...new Set(blocks.flatMap((block) => Object.keys(block.classes)))].sort();
}

function checkOne(blocks: readonly Block[], limit: Limit, requestClass: string | undefined, level: number): LimitCheck {
  const value = meanOver(blocks, limit.metric, requestClass, level);
  if (value === null) return { value, holds: null };
  const { max = Infinity, min = -Infinity } = limit;
  if (value.high <= max && value.low >= min) return { value, holds: true };
  if (value.low > max || value.high < min) return { value, holds: false };
  return { value, holds: null };
}

/**
 * Mean of a metric over the valid blocks of one configuration, with a Student t interval between blocks; on the log
 * scale for what is always positive, so that an interval never reaches below zero. Null when no block has a value; an
 * interval from one block alone is as wide as can be written down.
 */
export function meanOver(blocks: readonly Block[], metric: string, requestClass?: string, level = 0.95): Estimate | null {
  const valid = blocks.filter((block) => block.quality.valid);
  const values = valid.flatMap((block) => metricOf(block, metric, requestClass) ?? []);
  if (values.length === 0) return null;
  const share = metricTraits(metric).unit === 'share';
  const logs = !share && values.every((value) => value > 0);
  const { point, low, high } = pairedInterval(logs ? values.map(Math.log) : values, level, 1);
  const back = logs ? Math.exp : (value: number) => value;
  const widest = share ? 1 : Number.MAX_SAFE_INTEGER;
  return {
    point: back(point),
    low: Math.max(0, back(low)),
    high: Math.min(widest, back(high)),
    level,
    n: values.length,
    provenance: weakest(valid.map((block) => block.provenance)),
  };
}
