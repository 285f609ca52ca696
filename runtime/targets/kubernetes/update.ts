import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail, type Plan, type StageContext } from '../../../compiler/contracts/index.ts';
import { drainWaves } from '../supervise/members.ts';
import type { UpdateSteps } from '../target.ts';
import { applyObject } from './apply.ts';
import { interrupted } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import type { Doors } from './doors.ts';
import { type Crew, type Fleet, killMarginMs } from './fleet.ts';
import { gatewaysOf, requestsOver, untilTurned } from './gateways.ts';
import type { KubernetesOptions } from './options.ts';
import type { Staged } from './stage.ts';
import { applyOwn, memberName, type StagedMember } from './staged.ts';
import { removeAndWait } from './tear-down.ts';
import type { ObjectView } from './watch.ts';

/**
 * Callers look names up every second (`runtime/names.ts`) and may have to ask twice. What is replaced goes when all of them have seen
 * the new one: after that, and after as long as name servers keep an answer.
 */
const lookupsMs = 2_000;

/** A plan as it stands on the cluster. */
export interface Standing extends Staged {
  readonly plan: Plan;
}

/** What an update needs of the deployment it changes. */
export interface UpdateParts {
  readonly cluster: Cluster;
  readonly options: KubernetesOptions;
  readonly pods: ObjectView;
  readonly fleet: Fleet;
  readonly doors: Doors;
  /** Aborted when the deployment ends. */
  readonly stopping: AbortSignal;
  readonly untilReady: (crews: readonly Crew[], signal: AbortSignal) => Promise<void>;
  /** Called at the moment from which a plan is the one that serves. */
  readonly adopt: (standing: Standing) => void;
}

/** A plan and what runs of it. */
interface World {
  readonly standing: Standing;
  readonly crews: readonly Crew[];
}

/**
 * Replaces a plan by another in the phases of `UpdateSteps`: new versions stand beside the old under names of their own, so that each calls
 * its like. The shift is a selector: of the name under which the gateway finds the ingress. Old versions stay through the watch, so going back
 * is that selector again and needs nothing that could fail.
 */
export class KubernetesUpdate {
  readonly #parts: UpdateParts;
  readonly #context: StageContext;
  readonly #steps: UpdateSteps;
  readonly #old: World;
  readonly #next: World;
  /** Crews of the new plan alone, and of the old plan alone. */
  readonly #fresh: readonly Crew[];
  readonly #retiring: readonly Crew[];
  /** Those both plans have with other numbers of replicas, as they are now. */
  readonly #scaled: readonly StagedMember[];
  #shiftedAtMs = 0;

  constructor(parts: UpdateParts, old: Standing, staged: Standing, context: StageContext, steps: UpdateSteps) {
    this.#parts = parts;
    this.#context = context;
    this.#steps = steps;
    this.#old = { standing: old, crews: parts.fleet.present };
    const sameAs = ({ id, version }: StagedMember) => old.members.find((member) => member.id === id && member.version === version);
    const members = staged.members.map((member) => keptAs(sameAs(member), member));
    const crews = parts.fleet.crewsFor(members);
    this.#next = { standing: { ...staged, members }, crews };
    this.#fresh = crews.filter(({ member }) => sameAs(member) === undefined);
    this.#retiring = this.#old.crews.filter(({ replicas }) => !crews.some((crew) => crew.replicas === replicas));
    this.#scaled = members.flatMap((member) => {
      const before = sameAs(member);
      return before === undefined || before.replicas === member.replicas ? [] : [before];
    });
  }

  /**
   * @throws DmasError DMAS_UPDATE_ROLLED_BACK, or what kept the new plan from starting; the old plan serves then
   */
  async run(): Promise<void> {
    const signal = AbortSignal.any([this.#context.signal, this.#parts.stopping]);
    // Every request under way listens to it.
    setMaxListeners(0, signal, this.#parts.stopping);
    let shifted = false;
    try {
      await this.#prepare(signal);
      shifted = true;
      await this.#shift(this.#next, this.#old, signal);
    } catch (error) {
      await (shifted ? this.#rollBack(`it did not take over: ${(error as Error).message}`) : this.#discard());
      throw signal.aborted ? interrupted(error) : error;
    }
    const reason = await this.#watch();
    if (reason === null) return this.#commit();
    await this.#rollBack(reason);
    if (signal.aborted) throw interrupted(new Error(reason));
    fail('DMAS_UPDATE_ROLLED_BACK', `The old layout serves again: ${reason}.`);
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { cluster, fleet } = this.#parts;
    const { standing, crews } = this.#next;
    const replicas = (some: readonly Crew[]) => some.reduce((sum, { member }) => sum + member.replicas, 0);
    const kept = replicas(crews) - replicas(this.#fresh);
    this.#enter('prepare', `${replicas(this.#fresh)} replicas start, ${kept} stay, ${replicas(this.#retiring)} will go`);
    fleet.beside = crews;
    // Names that nobody calls yet lead to the new ones at once; those in use stay with the old until the shift.
    const present = new Set(objectsOf(this.#old.standing).map(keyOf));
    const added = objectsOf(standing).filter((object) => !present.has(keyOf(object)) || object.kind === 'Secret');
    const makers = new Set(standing.members.flatMap(({ own }) => own.slice(-1)));
    await Promise.all(added.filter((object) => !makers.has(object)).map((object) => applyObject(cluster, object, signal)));
    await Promise.all(this.#fresh.map(({ member }) => applyOwn(cluster, member, signal)));
    await this.#scale(
      standing.members.filter(({ id, replicas: count }) => this.#scaled.some((before) => before.id === id && count > before.replicas)),
      signal,
    );
    const awaited = crews.filter((crew) => this.#fresh.includes(crew) || this.#scaled.some(({ id }) => id === crew.member.id));
    await this.#parts.untilReady(awaited, signal);
  }

  /** New requests go to `to`. The gateway is last: a request that passes it finds everything it needs. */
  async #shift(to: World, from: World, signal: AbortSignal): Promise<void> {
    const { cluster, fleet, doors, adopt } = this.#parts;
    this.#enter('shift', `requests go to ${to.standing.plan.units.map(({ id }) => id).join(', ')}`);
    fleet.present = to.crews;
    fleet.beside = from.crews;
    adopt(to.standing);
    fleet.notice();
    await doors.open();
    for (const gateway of gatewaysOf(to.crews)) await fleet.tell([gateway], 'PUT', '/settings', gateway.member.settings);
    const before = new Map(from.standing.members.flatMap((member) => member.doors).map((door) => [keyOf(door), JSON.stringify(door)]));
    const switched = to.standing.members
      .flatMap((member) => member.doors)
      .filter((door) => before.get(keyOf(door)) !== JSON.stringify(door));
    await Promise.all(switched.map((door) => applyObject(cluster, door, signal)));
    this.#shiftedAtMs = performance.now();
    await untilTurned(fleet, to.crews, to.standing.plan.ingress.unit, signal);
  }

  /** Why the old plan must come back; null when the new one may stay. */
  async #watch(): Promise<string | null> {
    const { watch } = this.#steps;
    if (watch === undefined) return null;
    const { fleet, stopping } = this.#parts;
    this.#enter('watch', 'the old replicas stand by');
    const over = AbortSignal.any([this.#context.signal, stopping]);
    const ended = new AbortController();
    let noticed: (crew: Crew, replica: number, detail: string) => void = () => {};
    const crash = new Promise<string>((resolve) => {
      noticed = (crew, replica, detail) => {
        if (this.#fresh.includes(crew)) resolve(`${memberName(crew.member, replica)} crashed while it was watched: ${detail}`);
      };
    });
    fleet.crashed.add(noticed);
    const aborted = new Promise<string>((resolve) => {
      over.addEventListener('abort', () => resolve('the update was interrupted'), { once: true, signal: ended.signal });
      if (over.aborted) resolve('the update was interrupted');
    });
    try {
      const verdict = watch(ended.signal).catch((error: unknown) => `it could not be watched: ${(error as Error).message}`);
      return await Promise.race([verdict, crash, aborted]);
    } finally {
      ended.abort();
      fleet.crashed.delete(noticed);
    }
  }

  async #commit(): Promise<void> {
    const leaving = this.#retiring.reduce((sum, { member }) => sum + member.replicas, 0);
    this.#enter('commit', `${leaving} old replicas finish what they have and go`);
    await this.#leave(this.#old, this.#retiring, this.#next);
    const fewer = this.#next.standing.members.filter((member) =>
      this.#scaled.some((before) => before.id === member.id && member.replicas < before.replicas),
    );
    await this.#scale(fewer);
  }

  async #rollBack(reason: string): Promise<void> {
    const { stopping } = this.#parts;
    this.#enter('rollback', reason);
    // The old versions stand where they stood; what goes wrong on the way back says less than why it is gone.
    await this.#shift(this.#old, this.#next, stopping).catch(() => {});
    await this.#leave(this.#next, this.#fresh, this.#old);
    await this.#scale(this.#scaled);
  }

  /** Before anything was shifted nobody uses the new replicas. */
  async #discard(): Promise<void> {
    const { cluster, pods, fleet } = this.#parts;
    for (const { replicas } of this.#fresh) replicas.supervised = false;
    const makers = this.#fresh.flatMap(({ member }) => member.own.slice(-1));
    await removeAndWait(cluster, pods, [...makers, ...fleet.podsOf(this.#fresh)], 0, killMarginMs).catch(() => {});
    await this.#remove(this.#next.standing, this.#old.standing);
    fleet.forget(this.#fresh);
    await this.#scale(this.#scaled);
  }

  /** Replicas of a world that serves no longer end, callers before what they call, once no request needs them. */
  async #leave(world: World, crews: readonly Crew[], stays: World): Promise<void> {
    const { cluster, options, pods, fleet, doors, stopping } = this.#parts;
    const known = this.#shiftedAtMs + options.dnsTtlMs + lookupsMs - performance.now();
    if (crews.length > 0 && known > 0) await sleep(known, undefined, { signal: stopping }).catch(() => {});
    await requestsOver(fleet, stays.standing.plan.ingress.deadlineMs, stopping);
    await fleet.dismiss(crews);
    for (const wave of drainWaves(world.standing.plan)) {
      const leaving = crews.filter(({ member }) => wave.includes(member.id));
      const makers = leaving.flatMap(({ member }) => member.own.slice(-1));
      await removeAndWait(cluster, pods, [...makers, ...fleet.podsOf(leaving)], undefined, options.drainMs + killMarginMs);
    }
    await this.#remove(world.standing, stays.standing);
    fleet.forget(crews);
    await doors.prune();
  }

  /** What is of one plan alone. */
  async #remove(gone: Standing, stays: Standing): Promise<void> {
    const { cluster, pods } = this.#parts;
    const kept = new Set(objectsOf(stays).map(keyOf));
    await removeAndWait(
      cluster,
      pods,
      objectsOf(gone).filter((object) => !kept.has(keyOf(object))),
      undefined,
      0,
    ).catch(() => {});
  }

  /** Only the number of replicas changes. */
  async #scale(members: readonly StagedMember[], signal: AbortSignal = this.#parts.stopping): Promise<void> {
    const { cluster, fleet } = this.#parts;
    for (const { id, version, replicas, own } of members) {
      const crew = fleet.everyone.find(({ member }) => member.id === id && member.version === version);
      crew?.replicas.resize(replicas);
      for (const maker of own.slice(-1)) await applyObject(cluster, maker, signal);
    }
  }

  #enter(phase: Parameters<NonNullable<UpdateSteps['entered']>>[0], detail: string): void {
    this.#steps.entered?.(phase, detail);
  }
}

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata.name}`;
const objectsOf = ({ members, common }: Staged): readonly KubernetesObject[] => [
  ...common,
  ...members.flatMap(({ own, doors }) => [...own, ...doors]),
];

/** What pods that stay were started with: their template, or Kubernetes would replace them, and all that it names. */
const startedWith = new Set(['ConfigMap', 'ServiceAccount', 'PodDisruptionBudget']);

/** One that both plans have: only rules around it change, what its secrets are, and how many replicas there are. */
function keptAs(present: StagedMember | undefined, next: StagedMember): StagedMember {
  const maker = present?.own.at(-1);
  if (present === undefined || maker === undefined) return next;
  const resized = { ...maker, spec: { ...(maker.spec as object), replicas: next.replicas } };
  const stays = present.own.slice(0, -1).filter(({ kind }) => startedWith.has(kind));
  const told = next.own.slice(0, -1).filter(({ kind }) => !startedWith.has(kind));
  return { ...next, own: [...stays, ...told, resized] };
}
