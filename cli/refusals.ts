import type { RefusedCalls } from '../compiler/contracts/index.ts';
import type { EgressStats } from '../runtime/egress/stats.ts';
import type { Deployment } from '../runtime/targets/target.ts';

interface OwnStats {
  readonly egress?: { readonly [caller: string]: Pick<EgressStats, 'refused'> };
}

/** What the egress services of a deployment have refused since they started; nothing where there are none. */
export async function refusalsOf(deployment: Pick<Deployment, 'plan' | 'stats'>): Promise<readonly RefusedCalls[]> {
  if (!deployment.plan.services.some(({ kind }) => kind === 'egress')) return [];
  const own = (await deployment.stats()).map(({ stats }) => (stats ?? {}) as OwnStats);
  return own.flatMap(({ egress = {} }) =>
    Object.entries(egress).flatMap(([caller, { refused }]) => refused.map((calls) => ({ ...calls, caller }))),
  );
}

/** What was refused between two readings. A service that was restarted in between counts from zero again. */
export function refusalsBetween(before: readonly RefusedCalls[], after: readonly RefusedCalls[]): RefusedCalls[] {
  const key = ({ caller, place, reason }: RefusedCalls) => JSON.stringify([caller, place, reason]);
  const then = new Map(before.map((calls) => [key(calls), calls.count]));
  return after.flatMap((calls) => {
    const known = then.get(key(calls)) ?? 0;
    const count = calls.count < known ? calls.count : calls.count - known;
    return count > 0 ? [{ ...calls, count }] : [];
  });
}
