import { setTimeout as sleep } from 'node:timers/promises';
import { fail, type Plan, type StageContext } from '../../../compiler/contracts/index.ts';
import { serviceAddress } from '../../../compiler/plan/members.ts';
import type { DeployRequest, UpdateSteps } from '../target.ts';
import { readStats } from './control.ts';
import { deadline } from './deadline.ts';
import { drainWaves, type Member, memberKey, memberName } from './members.ts';
import type { Slot } from './slot.ts';
import { interrupted, type Supervisor } from './supervisor.ts';
import { type World, type Worlds, worldOf } from './worlds.ts';

/** Added to the drain time before a replica that does not end is killed. */
export const killMarginMs = 3_000;
/** How often the gateway is asked whether requests of the old plan are over. */
const settlePollMs = 50;

/** What an update needs of the deployment it changes. */
export interface UpdateParts {
  readonly worlds: Worlds;
  readonly supervisor: Supervisor;
  readonly readyTimeoutMs: number;
  readonly drainMs: number;
  /** A place for a replica that does not run yet. */
  readonly slot: (member: Member) => Slot;
  /** Keeps the usage of one that has ended for good. */
  readonly forget: (slot: Slot) => Promise<void>;
}

/**
 * Replaces a plan by another in phases: prepare (new replicas beside the old, ready), shift (new requests go to the new
 * ones), watch (the old ones stand by), then commit (the old ones finish what they have and go) or roll back (the same the
 * other way round). Old replicas stay through the watch rather than being started again when it fails: going back is then
 * the same exchange of addresses as going forward, and needs nothing that could fail.
 */
export class Update {
  readonly #parts: UpdateParts;
  readonly #context: StageContext;
  readonly #steps: UpdateSteps;
  readonly #old: World;
  readonly #next: World;
  /** Replicas of the new plan alone, and of the old plan alone. */
  readonly #fresh: readonly Slot[];
  readonly #retiring: readonly Slot[];
  /** Those among `fresh` that wait for a port a retiring one has. With a gateway that stays there are none. */
  readonly #takingOver: readonly Slot[];

  constructor(plan: Plan, members: readonly Member[], parts: UpdateParts, context: StageContext, steps: UpdateSteps) {
    this.#parts = parts;
    this.#context = context;
    this.#steps = steps;
    this.#old = parts.worlds.present;
    const present = new Map([...this.#old.members].map(([slot, member]) => [memberKey(member.id, member.replica), slot]));
    const entries = members.map((member): [Slot, Member] => {
      const slot = present.get(memberKey(member.id, member.replica));
      const same = slot?.member.fingerprint === member.fingerprint && slot.member.publicAddress === member.publicAddress;
      return [slot && same ? slot : parts.slot(member), member];
    });
    this.#next = worldOf(plan, entries);
    this.#fresh = this.#next.slots.filter((slot) => !this.#old.slots.includes(slot));
    this.#retiring = this.#old.slots.filter((slot) => !this.#next.slots.includes(slot));
    const held = new Set(this.#retiring.map((slot) => parts.supervisor.wishedPort(slot)).filter((port) => port > 0));
    this.#takingOver = this.#fresh.filter((slot) => held.has(parts.supervisor.wishedPort(slot)));
  }

  /**
   * @throws DmasError DMAS_UPDATE_ROLLED_BACK, or what kept the new plan from starting; the old plan serves then
   */
  async run(): Promise<void> {
    const { supervisor, readyTimeoutMs } = this.#parts;
    const until = deadline(readyTimeoutMs, this.#context.signal, supervisor.stopping.signal);
    let shifted = false;
    try {
      await this.#prepare(until.signal);
      shifted = true;
      await this.#shift(this.#old, this.#next);
      await this.#takeOver(until.signal);
    } catch (error) {
      await (shifted ? this.#rollBack(`it did not take over: ${(error as Error).message}`) : this.#discard());
      throw this.#context.signal.aborted ? interrupted(error) : error;
    } finally {
      until.clear();
    }
    const reason = await this.#watch();
    if (reason === null) return this.#commit();
    await this.#rollBack(reason);
    if (this.#context.signal.aborted) throw interrupted(new Error(reason));
    fail('DMAS_UPDATE_ROLLED_BACK', `The old layout serves again: ${reason}.`);
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { worlds, supervisor } = this.#parts;
    const beside = this.#fresh.filter((slot) => !this.#takingOver.includes(slot));
    const kept = this.#next.slots.length - this.#fresh.length;
    this.#enter('prepare', `${this.#fresh.length} replicas start, ${kept} stay, ${this.#retiring.length} will go`);
    worlds.beside = this.#next;
    await supervisor.prepare(sharedBy(this.#next), this.#context, signal);
    await supervisor.bringUp(beside, signal);
  }

  /** New requests go to `to`. Whoever calls is told before the gateway, so that a request finds everything it needs. */
  async #shift(from: World, to: World): Promise<void> {
    const { worlds, supervisor } = this.#parts;
    this.#enter('shift', `requests go to ${to.plan.units.map(({ id }) => id).join(', ')}`);
    worlds.present = to;
    worlds.beside = from;
    for (const [slot, member] of to.members) slot.member = member;
    await supervisor.pushPeers((slot) => !isDoor(slot, to.plan));
    const doors = to.slots.filter((slot) => isDoor(slot, to.plan) && !this.#fresh.includes(slot));
    await Promise.all(doors.map((slot) => slot.tell('PUT', '/settings', slot.member.settings)));
    await supervisor.pushPeers((slot) => isDoor(slot, to.plan));
  }

  /** A fixed port has one owner: the old one stops listening as soon as it drains, the new one tries until it has it. */
  async #takeOver(signal: AbortSignal): Promise<void> {
    const { supervisor, worlds } = this.#parts;
    const slots = this.#takingOver;
    if (slots.length === 0) return;
    const ports = new Set(slots.map((slot) => supervisor.wishedPort(slot)));
    const leaving = this.#retiring.filter((slot) => ports.has(supervisor.wishedPort(slot)));
    for (const slot of leaving) giveUp(slot);
    const left = leaving.map((slot) => slot.running?.terminate(this.#parts.drainMs + killMarginMs));
    await Promise.all(slots.map((slot) => supervisor.orFail(slot, signal, () => supervisor.launchUntil(slot, signal))));
    await Promise.all(slots.map((slot) => supervisor.orFail(slot, signal, () => slot.becomeReady(worlds.peersFor(slot), signal))));
    for (const slot of slots) slot.supervised = true;
    await Promise.all(left);
    await supervisor.pushPeers();
  }

  /** Why the old plan must come back; null when the new one may stay. */
  async #watch(): Promise<string | null> {
    const { watch } = this.#steps;
    if (watch === undefined) return null;
    const { supervisor } = this.#parts;
    this.#enter('watch', 'the old replicas stand by');
    const over = deadline(2 ** 31 - 1, this.#context.signal, supervisor.stopping.signal);
    let noticed: (slot: Slot, detail: string) => void = () => {};
    const crash = new Promise<string>((resolve) => {
      noticed = (slot, detail) => {
        if (this.#fresh.includes(slot)) resolve(`${memberName(slot.member)} crashed while it was watched: ${detail}`);
      };
    });
    supervisor.crashed.add(noticed);
    const aborted = new Promise<string>((resolve) => {
      over.signal.addEventListener('abort', () => resolve('the update was interrupted'), { once: true });
      if (over.signal.aborted) resolve('the update was interrupted');
    });
    const ended = new AbortController();
    try {
      const verdict = watch(ended.signal).catch((error: unknown) => `it could not be watched: ${(error as Error).message}`);
      return await Promise.race([verdict, crash, aborted]);
    } finally {
      ended.abort();
      supervisor.crashed.delete(noticed);
      over.clear();
    }
  }

  async #commit(): Promise<void> {
    this.#enter('commit', `${this.#retiring.length} old replicas finish what they have and go`);
    await this.#leave(this.#old, this.#retiring);
    await this.#parts.supervisor.settle(this.#next.plan);
  }

  async #rollBack(reason: string): Promise<void> {
    this.#enter('rollback', reason);
    await this.#backToOld();
    const old = await this.#bringBackLost();
    await this.#shift(this.#next, old);
    await this.#leave(this.#next, this.#fresh);
    await this.#parts.supervisor.settle(old.plan);
  }

  /** Before anything was shifted nobody uses the new replicas. */
  async #discard(): Promise<void> {
    const { worlds, supervisor } = this.#parts;
    for (const slot of this.#fresh) giveUp(slot);
    await Promise.allSettled(supervisor.launching);
    await Promise.allSettled(this.#fresh.map((slot) => slot.running?.kill()));
    worlds.beside = null;
    await Promise.all(this.#fresh.map((slot) => this.#parts.forget(slot)));
    if (supervisor.stopping.signal.aborted) return;
    await this.#backToOld();
    await supervisor.pushPeers();
    await supervisor.settle(this.#old.plan);
  }

  /** What a replica of the old plan needs when it is started again. Why the update failed says more than what went wrong on the way back. */
  async #backToOld(): Promise<void> {
    const { supervisor } = this.#parts;
    await supervisor.prepare(sharedBy(this.#old), this.#context, supervisor.stopping.signal).catch(() => {});
  }

  /** Old replicas that had to leave for a port come again in new slots. */
  async #bringBackLost(): Promise<World> {
    const { supervisor } = this.#parts;
    const gone = this.#old.slots.filter((slot) => slot.gone.signal.aborted);
    if (gone.length === 0) return this.#old;
    for (const slot of this.#takingOver) giveUp(slot);
    await Promise.allSettled(this.#takingOver.map((slot) => slot.running?.terminate(this.#parts.drainMs + killMarginMs)));
    await Promise.all(gone.map((slot) => this.#parts.forget(slot)));
    const back = worldOf(
      this.#old.plan,
      [...this.#old.members].map(([slot, member]) => [gone.includes(slot) ? this.#parts.slot(member) : slot, member] as const),
    );
    const again = back.slots.filter((slot) => !this.#old.slots.includes(slot));
    if (supervisor.stopping.signal.aborted) return back;
    for (const slot of again) void supervisor.recover(slot, { code: null, signal: 'a failed update' });
    return back;
  }

  /** Replicas of a world that serves no longer end, callers before what they call, once no request needs them. */
  async #leave(world: World, slots: readonly Slot[]): Promise<void> {
    const { worlds, supervisor, drainMs } = this.#parts;
    await this.#requestsOver();
    for (const slot of slots) giveUp(slot);
    for (const wave of drainWaves(world.plan)) {
      const leaving = slots.filter((slot) => wave.includes(slot.member.id));
      await Promise.all(leaving.map((slot) => slot.running?.terminate(drainMs + killMarginMs)));
    }
    worlds.beside = null;
    await Promise.all(slots.map((slot) => this.#parts.forget(slot)));
    if (!supervisor.stopping.signal.aborted) await supervisor.pushPeers();
  }

  /**
   * Every request of users passes the gateway: once the oldest under way there is younger than the shift, nothing of the
   * old world is. No request outlives its deadline, so neither does this.
   */
  async #requestsOver(): Promise<void> {
    const { worlds, supervisor } = this.#parts;
    const { plan, slots } = worlds.present;
    const sinceMs = performance.now();
    const limitMs = sinceMs + plan.ingress.deadlineMs + killMarginMs;
    const doors = slots.filter((slot) => isDoor(slot, plan));
    const waits = async (slot: Slot) => {
      while (performance.now() < limitMs && !supervisor.stopping.signal.aborted) {
        const control = slot.running?.control;
        const stats = control ? ((await readStats(control)) as { readonly oldestMs?: number | null } | null) : null;
        const oldestMs = stats?.oldestMs ?? null;
        if (oldestMs === null || performance.now() - oldestMs > sinceMs) return;
        await sleep(settlePollMs);
      }
    };
    await Promise.all(doors.map(waits));
  }

  #enter(phase: Parameters<NonNullable<UpdateSteps['entered']>>[0], detail: string): void {
    this.#steps.entered?.(phase, detail);
  }
}

const sharedBy = ({ plan, slots }: World): Pick<DeployRequest, 'plan' | 'bundles'> => ({
  plan,
  bundles: slots.flatMap(({ member }) => member.bundle ?? []),
});

const isDoor = ({ member }: Slot, { ingress }: Plan): boolean => serviceAddress(member.id) === ingress.gateway;

function giveUp(slot: Slot): void {
  slot.gone.abort(new Error('replaced'));
}
