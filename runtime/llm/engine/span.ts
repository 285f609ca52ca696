/**
 * One step, or any number of steps in a row that decode the same sequences. Ends of steps are computed from the base,
 * never added up, so that it makes no difference how often the engine is asked.
 */
export interface Span {
  readonly baseMs: number;
  /** Of every step, but for the context, which grows by `decodes` tokens a step. */
  readonly stepMs: number;
  readonly contextMsPerToken: number;
  readonly decodes: number;
  readonly contextTokens: number;
  /** Length in steps; shortened when something arrives that must be looked at. */
  steps: number;
  /** Steps known to be over. */
  done: number;
}

/** When the first `count` steps are over: the sum over i < count of stepMs + c × (context + i × decodes). */
export function endOfStep(span: Span, count: number): number {
  const context = span.contextTokens * count + (span.decodes * count * (count - 1)) / 2;
  return span.baseMs + span.stepMs * count + span.contextMsPerToken * context;
}

/** How many steps are over at a time, from `span.done` to `span.steps`. */
export function stepsOverBy(span: Span, ms: number): number {
  if (endOfStep(span, span.steps) <= ms) return span.steps;
  let count = Math.max(span.done, Math.min(span.steps, Math.floor(solve(span, ms))));
  // The root is rounded; the ends themselves decide.
  while (count < span.steps && endOfStep(span, count + 1) <= ms) count++;
  while (count > span.done && endOfStep(span, count) > ms) count--;
  return count;
}

/** The fewest steps, at least one and not fewer than are over, after which the time `ms` has come. */
export function stepsUntil(span: Span, ms: number): number {
  let count = Math.max(1, span.done, Math.floor(solve(span, ms)));
  while (endOfStep(span, count) < ms) count++;
  while (count > Math.max(1, span.done) && endOfStep(span, count - 1) >= ms) count--;
  return count;
}

/** The positive root of a n² + b n = t, in the form that does not cancel. */
function solve(span: Span, ms: number): number {
  const t = ms - span.baseMs;
  if (t <= 0) return 0;
  const a = (span.contextMsPerToken * span.decodes) / 2;
  const b = span.stepMs + span.contextMsPerToken * span.contextTokens - a;
  return (2 * t) / (b + Math.sqrt(b * b + 4 * a * t));
}
