import type { Peers, Plan } from '../../../compiler/contracts/index.ts';
import { ingressAddress } from '../../../compiler/plan/members.ts';
import type { Member } from './members.ts';
import { peersOf, type Slot } from './slot.ts';

/** A plan and what runs of it. Slots whose member both plans have stand in both worlds. */
export interface World {
  readonly plan: Plan;
  readonly slots: readonly Slot[];
  /** What each slot is in this plan. */
  readonly members: ReadonlyMap<Slot, Member>;
}

export const worldOf = (plan: Plan, entries: readonly (readonly [Slot, Member])[]): World => ({
  plan,
  slots: entries.map(([slot]) => slot),
  members: new Map(entries),
});

/**
 * The plan users are served by, and while it is replaced the one beside it: on its way in, standing by, or on its way out.
 *
 * A request is served in the world it came into: replicas of a plan call each other. Those of the other are known to
 * everybody as retiring, for calls that name an instance: branches of a graph meet where it was begun, a completion goes
 * back to the ingress that waits for it. Replicas of both worlds serve requests of both.
 */
export class Worlds {
  present: World;
  beside: World | null = null;

  constructor(present: World) {
    this.present = present;
  }

  everyone(): readonly Slot[] {
    return [...new Set([...this.present.slots, ...(this.beside?.slots ?? [])])];
  }

  /** What a replica is told of all others. */
  peersFor(slot: Slot): Peers {
    const { present, beside } = this;
    if (beside === null) return peersOf(present.slots);
    const [own, other] = present.slots.includes(slot) ? [present, beside] : [beside, present];
    return withRetiring(
      peersOf(own.slots),
      other.slots.filter((candidate) => !own.slots.includes(candidate)),
    );
  }

  /** Where everything is for those who know only addresses: of the world that serves, else of the one beside it. */
  places(): Peers {
    return { ...(this.beside === null ? {} : peersOf(this.beside.slots)), ...peersOf(this.present.slots) };
  }
}

/** Only units are called by instance; what is foreign knows nothing of it. */
function withRetiring(peers: Peers, others: readonly Slot[]): Peers {
  const retiring = peersOf(others.filter(({ member }) => member.kind === 'unit' && member.program === null));
  const merged: { [address: string]: Peers[string] } = { ...peers };
  for (const [address, replicas] of Object.entries(retiring)) {
    if (address === ingressAddress) continue;
    merged[address] = [...(peers[address] ?? []), ...replicas.map((replica) => ({ ...replica, retiring: true }))];
  }
  return merged;
}
