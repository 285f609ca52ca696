import type { ReplayFacts, TapeStats, TokenCounts } from '../compiler/contracts/index.ts';
import type { Deployment } from '../runtime/targets/target.ts';

/** Counts of the tape and of the replayed models since the start of the deployment. */
interface ReplayStats {
  readonly tape: TapeStats;
  readonly tokens: { readonly [model: string]: TokenCounts };
}

interface OwnStats {
  readonly tape?: TapeStats;
  readonly tokens?: { readonly [model: string]: TokenCounts };
}

/** What the deployment's tape and models say; undefined where nothing is replayed, or the tape is down. */
export async function replayStats(deployment: Deployment): Promise<ReplayStats | undefined> {
  if (!deployment.plan.services.some(({ kind }) => kind === 'tape')) return undefined;
  const own = (await deployment.stats()).map(({ stats }) => (stats ?? {}) as OwnStats);
  const tape = own.find((one) => one.tape !== undefined)?.tape;
  if (tape === undefined) return undefined;
  const tokens: { [model: string]: TokenCounts } = {};
  for (const [model, counts] of own.flatMap((one) => Object.entries(one.tokens ?? {}))) {
    const sum = tokens[model] ?? { tokensIn: 0, tokensCached: 0, tokensOut: 0 };
    tokens[model] = {
      tokensIn: sum.tokensIn + counts.tokensIn,
      tokensCached: sum.tokensCached + counts.tokensCached,
      tokensOut: sum.tokensOut + counts.tokensOut,
    };
  }
  return { tape, tokens };
}

/** What was replayed between two readings. A process that was restarted in between counts from zero again. */
export function replayFacts(before: ReplayStats | undefined, after: ReplayStats | undefined): ReplayFacts | undefined {
  if (after === undefined) return undefined;
  const since = (now: number, then: number | undefined) => (then === undefined || now < then ? now : now - then);
  const misses: { [caller: string]: number } = {};
  const sums = { requests: 0, throttled: 0, ambiguous: 0, synthetic: 0 };
  for (const [target, now] of Object.entries(after.tape)) {
    const then = before?.tape[target];
    for (const key of ['requests', 'throttled', 'ambiguous', 'synthetic'] as const) sums[key] += since(now[key], then?.[key]);
    for (const [caller, count] of Object.entries(now.misses)) {
      const fresh = since(count, then?.misses[caller]);
      if (fresh > 0) misses[caller] = (misses[caller] ?? 0) + fresh;
    }
  }
  const tokens = Object.fromEntries(
    Object.entries(after.tokens).map(([model, now]) => {
      const then = before?.tokens[model];
      const key = (name: keyof TokenCounts) => since(now[name], then?.[name]);
      return [model, { tokensIn: key('tokensIn'), tokensCached: key('tokensCached'), tokensOut: key('tokensOut') }];
    }),
  );
  return { ...sums, misses, tokens };
}
