import { setTimeout as sleep } from 'node:timers/promises';
import { failuresOf, type Tally, tallySince, tallySum } from '../../compiler/contracts/index.ts';
import { errorsAsBefore, judgeLimits, type WatchedLimit } from '../../profiler/stats/watched-limits.ts';
import type { Deployment } from '../../runtime/targets/target.ts';
import type { WatchWish } from './contract.ts';

export interface WatchReport {
  readonly seconds: number;
  readonly requests: number;
  readonly failures: number;
  readonly limits: readonly WatchedLimit[];
  /** `undecided`: too few requests for at least one limit, or none at all. */
  readonly verdict: 'held' | 'broken' | 'undecided';
  /** Why, as part of a sentence. */
  readonly reason: string;
}

/** How often the counts are looked at; each look shares in the risk of a false alarm. */
const lookEveryMs = 1_000;
/** Of all looks together. */
const alarmLevel = 0.05;

/** Reads the counts of whatever takes the requests of users, also over its restarts. */
export class TallyReader {
  readonly #deployment: Deployment;
  readonly #known = new Map<string, Tally>();

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  /** Everything counted since the deployment started, as far as it was looked at before a restart. */
  async read(): Promise<Tally> {
    for (const { stats } of await this.#deployment.stats()) {
      const said = stats as { readonly service?: string; readonly instanceId?: string; readonly tally?: Tally } | null;
      if (said?.tally !== undefined && said.instanceId !== undefined && said.service !== undefined)
        this.#known.set(said.instanceId, said.tally);
    }
    return tallySum([...this.#known.values()]);
  }
}

/** Looks at live traffic for a time; ends early only when a limit is broken for certain. */
export async function watchLive(
  reader: TallyReader,
  before: Tally,
  wish: WatchWish,
  tick: (report: Pick<WatchReport, 'requests' | 'failures'>, secondsLeft: number) => void,
  signal: AbortSignal,
): Promise<WatchReport> {
  const startedMs = performance.now();
  const from = await reader.read();
  const guard = errorsAsBefore(before);
  const looks = Math.max(1, Math.ceil(wish.durationMs / lookEveryMs));
  for (;;) {
    const leftMs = wish.durationMs - (performance.now() - startedMs);
    if (leftMs > 0) await sleep(Math.min(lookEveryMs, leftMs), undefined, { signal });
    const since = tallySince(from, await reader.read());
    const over = wish.durationMs - (performance.now() - startedMs) <= 0;
    const report = judged(since, wish, guard, alarmLevel / looks, (performance.now() - startedMs) / 1000);
    tick(report, Math.max(0, leftMs - lookEveryMs) / 1000);
    if (over || report.verdict === 'broken') return report;
  }
}

function judged(since: Tally, wish: WatchWish, guard: ReturnType<typeof errorsAsBefore>, alpha: number, seconds: number): WatchReport {
  const counts = Object.values(since.classes);
  const requests = counts.reduce((sum, each) => sum + each.requests, 0);
  const failures = counts.reduce((sum, each) => sum + failuresOf(each), 0);
  const limits = judgeLimits(wish.limits, since, alpha);
  const errors = judgeLimits([guard], together(since), alpha).filter(({ verdict }) => verdict === 'broken');
  const broken = [...limits.filter(({ verdict }) => verdict === 'broken'), ...errors];
  const open = limits.filter(({ verdict }) => verdict === 'undecided' || verdict === 'unseen');
  const common = { seconds, requests, failures, limits: [...limits, ...errors] };
  const seen = `${requests} requests in ${seconds.toFixed(0)} s, ${failures} failed`;
  if (broken.length > 0) {
    const reason = `${broken.map((each) => sentenceOf(each, errors.includes(each))).join(', and ')} (${seen})`;
    return { ...common, verdict: 'broken', reason };
  }
  if (requests === 0)
    return { ...common, verdict: 'undecided', reason: `no request came in ${seconds.toFixed(0)} s, so nothing is proven` };
  if (open.length > 0)
    return { ...common, verdict: 'undecided', reason: `${open.map((each) => sentenceOf(each, false)).join(', ')} (${seen})` };
  const what = limits.length === 0 ? 'the scenario names no limit, and no more requests failed than before' : 'every limit held';
  return { ...common, verdict: 'held', reason: `${what} (${seen})` };
}

const together = (tally: Tally): Tally => ({
  classes: { all: tallySum(Object.values(tally.classes).map((counts) => ({ classes: { all: counts } }))).classes.all ?? none },
});
const none = { requests: 0, outcomes: {}, latency: {}, firstChunk: {} };

function sentenceOf({ limit, requestClass, requests, value, verdict }: WatchedLimit, asBefore: boolean): string {
  const share = limit.metric === 'errorRate' || limit.metric === 'completion';
  const print = (number: number) => (share ? `${(number * 100).toFixed(2)} %` : `${number.toFixed(0)} ms`);
  const bound = limit.max !== undefined ? `at most ${print(limit.max)}` : `at least ${print(limit.min ?? 0)}`;
  const where = requestClass === null || requestClass === 'all' ? '' : ` of ${requestClass}`;
  const found = value === null ? 'nothing' : print(value);
  if (verdict === 'unseen') return `${limit.metric}${where} cannot be seen at the gateway`;
  if (verdict === 'broken')
    return `${limit.metric}${where} was ${found} over ${requests} requests, ${asBefore ? 'more than before' : 'not'} ${asBefore ? `(${bound})` : bound}`;
  return `${requests} requests are too few to tell whether ${limit.metric}${where} (${found} so far) is ${bound}`;
}
