import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DmasError,
  fail,
  httpUrl,
  type Incident,
  type Peers,
  type Plan,
  type ProcessUsage,
  type StageContext,
} from '../../../compiler/contracts/index.ts';
import type { Deployment, DeployRequest } from '../target.ts';
import { DeadlineExceeded, deadline } from './deadline.ts';
import { type Exit, exitText, type ReplicaHost, type ReplicaUsage, type RunningReplica } from './host.ts';
import { ReplicaLog } from './log.ts';
import { drainWaves, fileName, type Member, memberKey, memberName, membersOf } from './members.ts';
import { restartLimitText } from './restart-policy.ts';
import { addUsage, noUsage, peersOf, peersWhileDraining, Slot } from './slot.ts';

export interface SuperviseSettings {
  readonly queueLimit: number;
  readonly drainMs: number;
}

/** Added to the drain time before a replica that does not end is killed. */
const killMarginMs = 3_000;
/** A restart that fails this often on the port users know takes another one. */
const samePortAttempts = 2;
/** Between attempts to take over a port from a replica that is draining. */
const takeoverPauseMs = 50;

/**
 * Deploys on any target that can run one replica. When it rejects, nothing is left.
 * @throws DmasError DMAS_DEPLOY_FAILED with the last log lines of the replica at fault; DMAS_INTERRUPTED on abort
 */
export async function superviseDeployment(
  request: DeployRequest,
  context: StageContext,
  host: ReplicaHost,
  settings: SuperviseSettings,
): Promise<Deployment> {
  const deployment = new SupervisedDeployment(request, context, host, settings);
  try {
    await deployment.start();
    return deployment;
  } catch (error) {
    await deployment.stop(0);
    throw error;
  }
}

class SupervisedDeployment implements Deployment {
  readonly id: string;
  readonly #request: DeployRequest;
  readonly #context: StageContext;
  readonly #host: ReplicaHost;
  readonly #settings: SuperviseSettings;
  readonly #logs = new Map<string, ReplicaLog>();
  readonly #incidents: Incident[] = [];
  readonly #stopping = new AbortController();
  readonly #launching = new Set<Promise<unknown>>();
  /** Usage and restarts of replaced replicas, so that the numbers of a key never fall. */
  readonly #past = new Map<string, { usage: ReplicaUsage; restarts: number }>();
  /** Every slot that may still run something: those of the plan, new ones and those on their way out. */
  readonly #live = new Set<Slot>();
  #plan: Plan;
  /** Those of the plan. */
  #slots: Slot[] = [];
  #samplingRatio: number;
  #instances = 0;
  #usageTimer: NodeJS.Timeout | undefined;
  #updating: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(request: DeployRequest, context: StageContext, host: ReplicaHost, settings: SuperviseSettings) {
    this.id = request.deploymentId;
    this.#request = request;
    this.#context = context;
    this.#host = host;
    this.#settings = settings;
    this.#plan = request.plan;
    this.#samplingRatio = request.samplingRatio;
  }

  get plan(): Plan {
    return this.#plan;
  }

  get ingressUrls(): readonly string[] {
    const entries = this.#slots.filter((slot) => slot.publicAt !== null).sort((a, b) => a.member.replica - b.member.replica);
    return entries.flatMap(({ publicAt }) => (publicAt ? [httpUrl(publicAt)] : []));
  }

  async start(): Promise<void> {
    mkdirSync(join(this.#request.folder, 'logs'), { recursive: true });
    this.#slots = membersOf(this.#plan, this.#request.bundles).map((member) => this.#slot(member));
    const until = deadline(this.#request.readyTimeoutMs, this.#context.signal, this.#stopping.signal);
    try {
      await this.#bringUp(this.#slots, () => peersOf(this.#slots), until.signal);
    } finally {
      until.clear();
    }
    this.#usageTimer = setInterval(() => this.#sampleUsage(), this.#host.usageIntervalMs).unref();
  }

  async usage(): Promise<readonly ProcessUsage[]> {
    return Promise.all(
      this.#slots.map(async ({ member: { id, replica } }) => {
        const key = memberKey(id, replica);
        // While a plan is replaced, the old and the new holder of a place run side by side.
        const holders = [...this.#live].filter(({ member }) => memberKey(member.id, member.replica) === key);
        const past = this.#past.get(key) ?? { usage: noUsage, restarts: 0 };
        const total = (await Promise.all(holders.map((slot) => slot.usage()))).reduce(addUsage, past.usage);
        return { id, replica, ...total, restarts: holders.reduce((sum, slot) => sum + slot.restarts, past.restarts) };
      }),
    );
  }

  async setSampling(ratio: number): Promise<void> {
    this.#samplingRatio = ratio;
    await Promise.all(this.#slots.map((slot) => slot.tell('PUT', '/sampling', { ratio })));
  }

  async flushTraces(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.tell('POST', '/flush')));
  }

  incidents(): readonly Incident[] {
    return [...this.#incidents];
  }

  async kill(unit: string, replica: number): Promise<void> {
    const slot = this.#slots.find(({ member }) => member.id === unit && member.replica === replica);
    if (!slot?.running) throw new RangeError(`no replica ${replica} of ${unit} is running`);
    slot.killed = true;
    this.#incident(slot, 'killed', 'killed by fault injection');
    await slot.running.kill();
  }

  update(request: Pick<DeployRequest, 'plan' | 'bundles'>, context: StageContext): Promise<void> {
    const update = this.#updating.then(() => this.#update(request, context));
    this.#updating = update.catch(() => {});
    return update;
  }

  async logs(unit: string, replica: number): Promise<string> {
    return (await this.#logs.get(memberKey(unit, replica))?.read()) ?? '';
  }

  stop(graceMs = this.#settings.drainMs + killMarginMs): Promise<void> {
    this.#stopped ??= this.#tearDown(graceMs);
    return this.#stopped;
  }

  async #tearDown(graceMs: number): Promise<void> {
    this.#stopping.abort(new Error('the deployment is being stopped'));
    clearInterval(this.#usageTimer);
    await Promise.allSettled(this.#launching);
    await Promise.allSettled([...this.#live].map((slot) => slot.running?.terminate(graceMs)));
    await this.#updating;
    await this.#host.close();
    await Promise.all([...this.#logs.values()].map((log) => log.close()));
  }

  #slot(member: Member): Slot {
    const key = memberKey(member.id, member.replica);
    const file = join(this.#request.folder, 'logs', `${fileName(member.id)}-${member.replica}.log`);
    const log = this.#logs.get(key) ?? new ReplicaLog(file, this.#secretsOf(member));
    this.#logs.set(key, log);
    const slot = new Slot(member, log);
    this.#live.add(slot);
    return slot;
  }

  #secretsOf(member: Member): { readonly [name: string]: string } {
    const { environment } = this.#request;
    return Object.fromEntries(member.secrets.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])));
  }

  /** Launches all, then gives all their peers, then waits until all are ready and puts them under supervision. */
  async #bringUp(slots: readonly Slot[], peers: () => Peers, signal: AbortSignal): Promise<void> {
    await Promise.all(slots.map((slot) => this.#orFail(slot, signal, () => this.#launch(slot, this.#wishedPort(slot), signal))));
    const known = peers();
    await Promise.all(slots.map((slot) => this.#orFail(slot, signal, () => slot.becomeReady(known, signal))));
    for (const slot of slots) {
      if (!slot.running) fail('DMAS_DEPLOY_FAILED', `${memberName(slot.member)} ended as soon as it was ready.${logTail(slot)}`);
      slot.supervised = true;
    }
  }

  async #launch(slot: Slot, publicPort: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { member, log } = slot;
    this.#instances += 1;
    const instanceId = `${member.id}.${member.replica}.${this.#instances}`;
    const { drainMs, queueLimit } = this.#settings;
    const binding = {
      deploymentId: this.id,
      id: member.id,
      replica: member.replica,
      instanceId,
      peers: peersOf(this.#slots),
      otlpEndpoints: this.#request.otlpEndpoints,
      samplingRatio: this.#samplingRatio,
      queueLimit,
      drainMs,
    };
    const launched = this.#host.launch({ member, instanceId, publicPort, binding, secrets: this.#secretsOf(member), log }, signal);
    this.#launching.add(launched);
    try {
      const running = await launched;
      slot.running = running;
      slot.publicAt = running.publicAt;
      void running.exited.then((exit) => this.#ended(slot, running, exit));
    } finally {
      this.#launching.delete(launched);
    }
  }

  #wishedPort({ member }: Slot): number {
    return member.publicAddress && this.#request.ingressPort > 0 ? this.#request.ingressPort + member.replica : 0;
  }

  async #orFail(slot: Slot, signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (error instanceof DmasError) throw error;
      if (this.#context.signal.aborted) throw interrupted(error);
      const reason = signal.aborted ? signal.reason : error;
      const what = reason instanceof DeadlineExceeded ? `was not ready within ${this.#request.readyTimeoutMs} ms` : errorText(reason);
      fail('DMAS_DEPLOY_FAILED', `${memberName(slot.member)} did not start: ${what}.${logTail(slot)}`, {
        cause: error,
        fix: `See ${slot.log.file}.`,
      });
    }
  }

  async #ended(slot: Slot, running: RunningReplica, exit: Exit): Promise<void> {
    const last = await running.usage();
    slot.running = null;
    slot.spent = addUsage(slot.spent, last);
    if (slot.supervised && !slot.gone.signal.aborted && !this.#stopping.signal.aborted) await this.#recover(slot, exit);
  }

  async #recover(slot: Slot, exit: Exit): Promise<void> {
    if (!slot.killed) this.#incident(slot, 'crashed', `${exitText(exit)}${lastLine(slot)}`);
    slot.killed = false;
    slot.supervised = false;
    void this.#pushPeers();
    const over = () => slot.gone.signal.aborted || this.#stopping.signal.aborted;
    for (let attempt = 1; !over(); attempt += 1) {
      const waitMs = slot.restartPolicy.next(Date.now());
      if (waitMs === null) return this.#incident(slot, 'unhealthy', `given up after ${restartLimitText}${lastLine(slot)}`);
      const until = deadline(this.#request.readyTimeoutMs + waitMs, slot.gone.signal, this.#stopping.signal);
      try {
        await sleep(waitMs, undefined, { signal: until.signal });
        await this.#restart(slot, attempt, until.signal);
        return;
      } catch (error) {
        if (over()) return;
        this.#incident(slot, 'crashed', `did not come back: ${errorText(error)}${lastLine(slot)}`);
        await slot.running?.kill();
      } finally {
        until.clear();
      }
    }
  }

  async #restart(slot: Slot, attempt: number, signal: AbortSignal): Promise<void> {
    const samplingRatio = this.#samplingRatio;
    const known = slot.publicAt && 'port' in slot.publicAt && attempt <= samePortAttempts ? slot.publicAt.port : 0;
    await this.#launch(slot, this.#wishedPort(slot) || known, signal);
    await slot.becomeReady(peersOf(this.#slots), signal);
    if (!slot.running) throw new Error('ended as soon as it was ready');
    slot.supervised = true;
    slot.restarts += 1;
    if (samplingRatio !== this.#samplingRatio) await slot.tell('PUT', '/sampling', { ratio: this.#samplingRatio });
    await this.#pushPeers();
    this.#incident(slot, 'restarted', `instance ${slot.running?.instanceId ?? 'gone again'}`);
  }

  async #pushPeers(): Promise<void> {
    await Promise.all(
      this.#slots.map(async (slot) => {
        if (!(await slot.pushPeers(() => peersOf(this.#slots)))) this.#incident(slot, 'unhealthy', 'does not take its new peers');
      }),
    );
  }

  #incident(slot: Slot, what: Incident['what'], detail: string): void {
    this.#incidents.push({ atMs: this.#context.now(), unit: slot.member.id, replica: slot.member.replica, what, detail });
  }

  #sampleUsage(): void {
    // Read errors mean that the replica is going; its last values are kept by the host.
    for (const slot of this.#live) void slot.running?.usage().catch(() => {});
  }

  async #update(request: Pick<DeployRequest, 'plan' | 'bundles'>, context: StageContext): Promise<void> {
    const present = new Map(this.#slots.map((slot) => [memberKey(slot.member.id, slot.member.replica), slot]));
    const old = { plan: this.#plan, slots: this.#slots };
    const next = membersOf(request.plan, request.bundles).map((member) => {
      const slot = present.get(memberKey(member.id, member.replica));
      const same = slot?.member.fingerprint === member.fingerprint && slot.member.publicAddress === member.publicAddress;
      return slot && same ? slot : this.#slot(member);
    });
    const fresh = next.filter((slot) => !old.slots.includes(slot));
    const retiring = old.slots.filter((slot) => !next.includes(slot));
    const held = new Set(retiring.map((slot) => this.#wishedPort(slot)).filter((port) => port > 0));
    const takingOver = fresh.filter((slot) => held.has(this.#wishedPort(slot)));
    const until = deadline(this.#request.readyTimeoutMs, context.signal, this.#stopping.signal);
    try {
      const beside = fresh.filter((slot) => !takingOver.includes(slot));
      await this.#bringUp(beside, () => peersOf(next), until.signal);
      this.#slots = next;
      this.#plan = request.plan;
      await this.#takeOver(takingOver, retiring, until.signal);
    } catch (error) {
      await this.#rollBack(old, fresh);
      throw context.signal.aborted ? interrupted(error) : error;
    } finally {
      until.clear();
    }
    const draining = peersWhileDraining(peersOf(next), peersOf(old.slots));
    await Promise.all([this.#pushPeers(), ...retiring.map((slot) => slot.pushPeers(() => draining))]);
    await this.#retire(retiring, old.plan);
  }

  /** A fixed port has one owner: the old one stops listening as soon as it drains, the new one tries until it has it. */
  async #takeOver(slots: readonly Slot[], retiring: readonly Slot[], signal: AbortSignal): Promise<void> {
    if (slots.length === 0) return;
    const ports = new Set(slots.map((slot) => this.#wishedPort(slot)));
    const leaving = retiring.filter((slot) => ports.has(this.#wishedPort(slot)));
    for (const slot of leaving) this.#giveUp(slot);
    const left = leaving.map((slot) => slot.running?.terminate(this.#settings.drainMs + killMarginMs));
    await Promise.all(slots.map((slot) => this.#orFail(slot, signal, () => this.#launchUntil(slot, signal))));
    await Promise.all(slots.map((slot) => this.#orFail(slot, signal, () => slot.becomeReady(peersOf(this.#slots), signal))));
    for (const slot of slots) slot.supervised = true;
    await Promise.all(left);
  }

  async #launchUntil(slot: Slot, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await this.#launch(slot, this.#wishedPort(slot), signal);
      } catch (error) {
        if (signal.aborted) throw error;
        await sleep(takeoverPauseMs, undefined, { signal });
      }
    }
  }

  /** Back to the old plan: the new replicas go, and old ones that had already left come again. */
  async #rollBack(old: { readonly plan: Plan; readonly slots: Slot[] }, fresh: readonly Slot[]): Promise<void> {
    for (const slot of fresh) this.#giveUp(slot);
    await Promise.allSettled(this.#launching);
    await Promise.allSettled(fresh.map((slot) => slot.running?.kill()));
    const gone = old.slots.filter((slot) => slot.gone.signal.aborted);
    await Promise.all([...fresh, ...gone].map((slot) => this.#forget(slot)));
    this.#plan = old.plan;
    this.#slots = old.slots.map((slot) => (gone.includes(slot) ? this.#slot(slot.member) : slot));
    const again = this.#slots.filter((slot) => !old.slots.includes(slot));
    if (this.#stopping.signal.aborted) return;
    for (const slot of again) void this.#recover(slot, { code: null, signal: 'a failed update' });
    await this.#pushPeers();
  }

  async #retire(slots: readonly Slot[], plan: Plan): Promise<void> {
    for (const slot of slots) this.#giveUp(slot);
    for (const wave of drainWaves(plan)) {
      const leaving = slots.filter((slot) => wave.includes(slot.member.id));
      await Promise.all(leaving.map((slot) => slot.running?.terminate(this.#settings.drainMs + killMarginMs)));
    }
    await Promise.all(slots.map((slot) => this.#forget(slot)));
  }

  #giveUp(slot: Slot): void {
    slot.gone.abort(new Error('replaced'));
  }

  async #forget(slot: Slot): Promise<void> {
    const key = memberKey(slot.member.id, slot.member.replica);
    const usage = await slot.usage();
    const past = this.#past.get(key) ?? { usage: noUsage, restarts: 0 };
    this.#past.set(key, { usage: addUsage(past.usage, usage), restarts: past.restarts + slot.restarts });
    this.#live.delete(slot);
  }
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const interrupted = (cause: unknown): DmasError =>
  new DmasError({ code: 'DMAS_INTERRUPTED', severity: 'error', message: 'The deployment was interrupted.' }, { cause });

function logTail(slot: Slot): string {
  const tail = slot.log.tail();
  return tail ? ` Its log ends with:\n${tail}` : ' Its log is empty.';
}

function lastLine(slot: Slot): string {
  const line = slot.log.tail().split('\n').at(-1);
  return line ? `: ${line}` : '';
}
