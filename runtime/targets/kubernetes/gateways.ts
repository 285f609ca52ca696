import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../../../compiler/contracts/index.ts';
import type { Crew, Fleet } from './fleet.ts';

/** How often a gateway is asked what it sees. */
const askEveryMs = 200;
/** How long a gateway may take to see where a name leads now: lookups of a second, a name server's cache of at most thirty. */
const turnWithinMs = 45_000;
/** For what no deadline ends. */
const graceMs = 3_000;

interface GatewayStats {
  /** Of the oldest request under way, in milliseconds. */
  readonly oldestMs?: number | null;
  readonly replicas?: readonly { readonly instanceId: string }[];
}

/** Those that stay while the plan around them changes. */
export const gatewaysOf = (crews: readonly Crew[]): readonly Crew[] => crews.filter(({ member }) => member.settings !== null);

async function statsOf(fleet: Fleet, crews: readonly Crew[]): Promise<readonly GatewayStats[]> {
  const places = gatewaysOf(crews).flatMap((crew) => crew.replicas.places.map(({ replica }) => ({ crew, replica })));
  const said = await Promise.all(places.map(({ crew, replica }) => fleet.statsOf(crew, replica)));
  return said.flatMap((stats) => (stats === null ? [] : [stats as GatewayStats]));
}

/**
 * Waits until every gateway sends to the replicas of this plan's ingress and to no other. One that does not answer is down, and looks the
 * name up when it comes again.
 *
 * @throws DmasError DMAS_DEPLOY_FAILED when one does not
 */
export async function untilTurned(fleet: Fleet, crews: readonly Crew[], ingress: string, signal: AbortSignal): Promise<void> {
  const giveUpMs = performance.now() + turnWithinMs;
  for (;;) {
    signal.throwIfAborted();
    const entry = crews.find(({ member }) => member.id === ingress);
    const addresses = new Set(entry?.replicas.places.flatMap(({ pod }) => pod?.status?.podIP ?? []));
    const turned = ({ replicas = [] }: GatewayStats) =>
      replicas.length > 0 && replicas.every(({ instanceId }) => addresses.has(instanceId.slice(instanceId.lastIndexOf('@') + 1)));
    if ((await statsOf(fleet, crews)).every(turned)) return;
    if (performance.now() > giveUpMs)
      fail('DMAS_DEPLOY_FAILED', `The gateway did not turn to the new replicas within ${turnWithinMs} ms.`, {
        fix: 'See whether pods of the namespace can look up names of Services.',
      });
    await sleep(askEveryMs, undefined, { signal });
  }
}

/**
 * Every request of users passes a gateway: once the oldest under way is younger than this call, nothing needs what served before. No request
 * outlives its deadline, so neither does this.
 */
export async function requestsOver(fleet: Fleet, deadlineMs: number, stopping: AbortSignal): Promise<void> {
  const sinceMs = performance.now();
  const limitMs = sinceMs + deadlineMs + graceMs;
  while (performance.now() < limitMs && !stopping.aborted) {
    const askedMs = performance.now();
    const stats = await statsOf(fleet, fleet.everyone);
    if (stats.every(({ oldestMs }) => oldestMs === undefined || oldestMs === null || askedMs - oldestMs > sinceMs)) return;
    await sleep(askEveryMs, undefined, { signal: stopping }).catch(() => {});
  }
}
