import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpUrl, type Incident, type Plan, type ProcessUsage, type StageContext } from '../../../compiler/contracts/index.ts';
import { exportDelayMs } from '../../../compiler/plan/program-environment.ts';
import type { Deployment, DeployRequest, ModelServerAddress } from '../target.ts';
import { readStats } from './control.ts';
import { deadline } from './deadline.ts';
import type { ReplicaHost, ReplicaUsage } from './host.ts';
import { ReplicaLog } from './log.ts';
import { drainWaves, fileName, type Member, memberKey, membersOf } from './members.ts';
import { addUsage, noUsage, peersOf, peersWhileDraining, Slot } from './slot.ts';
import { interrupted, type SuperviseSettings, Supervisor } from './supervisor.ts';

/** Added to the drain time before a replica that does not end is killed. */
const killMarginMs = 3_000;

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
  readonly #supervisor: Supervisor;
  readonly #host: ReplicaHost;
  readonly #settings: SuperviseSettings;
  readonly #logs = new Map<string, ReplicaLog>();
  /** Usage and restarts of replaced replicas, so that the numbers of a key never fall. */
  readonly #past = new Map<string, { usage: ReplicaUsage; restarts: number }>();
  /** Every slot that may still run something: those of the plan, new ones and those on their way out. */
  readonly #live = new Set<Slot>();
  #plan: Plan;
  /** Those of the plan. */
  #slots: Slot[] = [];
  #usageTimer: NodeJS.Timeout | undefined;
  #updating: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(request: DeployRequest, context: StageContext, host: ReplicaHost, settings: SuperviseSettings) {
    this.id = request.deploymentId;
    this.#request = request;
    this.#context = context;
    this.#host = host;
    this.#settings = settings;
    this.#supervisor = new Supervisor(request, context, host, settings, () => this.#slots);
    this.#plan = request.plan;
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
    const until = deadline(this.#request.readyTimeoutMs, this.#context.signal, this.#supervisor.stopping.signal);
    try {
      await this.#supervisor.bringUp(this.#slots, () => peersOf(this.#slots), until.signal);
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

  async stats() {
    return Promise.all(
      this.#slots.map(async ({ member: { id, replica }, running }) => ({
        id,
        replica,
        stats: running?.control ? await readStats(running.control) : null,
      })),
    );
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#slots.flatMap(({ member: { id, replica }, running }) =>
      running?.metricsAt === undefined
        ? []
        : [{ service: id, replica, instanceId: running.instanceId, url: httpUrl(running.metricsAt), gpus: running.gpus ?? [] }],
    );
  }

  async setSampling(ratio: number): Promise<void> {
    this.#supervisor.samplingRatio = ratio;
    await Promise.all(this.#slots.map((slot) => slot.tell('PUT', '/sampling', { ratio })));
  }

  async flushTraces(): Promise<void> {
    // Programs that somebody else built cannot be asked; they send what they have in turns of their own.
    const ownTurns = this.#slots.some(({ member }) => member.program?.planned.instrumented) && this.#supervisor.samplingRatio > 0;
    await Promise.all([...this.#slots.map((slot) => slot.tell('POST', '/flush')), ownTurns ? sleep(2 * exportDelayMs) : undefined]);
  }

  incidents(): readonly Incident[] {
    return [...this.#supervisor.incidents];
  }

  async kill(unit: string, replica: number): Promise<void> {
    const slot = this.#slots.find(({ member }) => member.id === unit && member.replica === replica);
    if (!slot?.running) throw new RangeError(`no replica ${replica} of ${unit} is running`);
    slot.killed = true;
    this.#supervisor.incident(slot, 'killed', 'killed by fault injection');
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
    this.#supervisor.stopping.abort(new Error('the deployment is being stopped'));
    clearInterval(this.#usageTimer);
    await Promise.allSettled(this.#supervisor.launching);
    await Promise.allSettled([...this.#live].map((slot) => slot.running?.terminate(graceMs)));
    await this.#updating;
    await this.#host.close();
    await Promise.all([...this.#logs.values()].map((log) => log.close()));
  }

  #slot(member: Member): Slot {
    const key = memberKey(member.id, member.replica);
    const file = join(this.#request.folder, 'logs', `${fileName(member.id)}-${member.replica}.log`);
    const log = this.#logs.get(key) ?? new ReplicaLog(file, this.#request.environment);
    this.#logs.set(key, log);
    const slot = new Slot(member, log);
    this.#live.add(slot);
    return slot;
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
    const held = new Set(retiring.map((slot) => this.#supervisor.wishedPort(slot)).filter((port) => port > 0));
    const takingOver = fresh.filter((slot) => held.has(this.#supervisor.wishedPort(slot)));
    const until = deadline(this.#request.readyTimeoutMs, context.signal, this.#supervisor.stopping.signal);
    try {
      const beside = fresh.filter((slot) => !takingOver.includes(slot));
      await this.#supervisor.bringUp(beside, () => peersOf(next), until.signal);
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
    await Promise.all([this.#supervisor.pushPeers(), ...retiring.map((slot) => slot.pushPeers(() => draining))]);
    await this.#retire(retiring, old.plan);
  }

  /** A fixed port has one owner: the old one stops listening as soon as it drains, the new one tries until it has it. */
  async #takeOver(slots: readonly Slot[], retiring: readonly Slot[], signal: AbortSignal): Promise<void> {
    if (slots.length === 0) return;
    const ports = new Set(slots.map((slot) => this.#supervisor.wishedPort(slot)));
    const leaving = retiring.filter((slot) => ports.has(this.#supervisor.wishedPort(slot)));
    for (const slot of leaving) this.#giveUp(slot);
    const left = leaving.map((slot) => slot.running?.terminate(this.#settings.drainMs + killMarginMs));
    await Promise.all(slots.map((slot) => this.#supervisor.orFail(slot, signal, () => this.#supervisor.launchUntil(slot, signal))));
    await Promise.all(slots.map((slot) => this.#supervisor.orFail(slot, signal, () => slot.becomeReady(peersOf(this.#slots), signal))));
    for (const slot of slots) slot.supervised = true;
    await Promise.all(left);
  }

  /** Back to the old plan: the new replicas go, and old ones that had already left come again. */
  async #rollBack(old: { readonly plan: Plan; readonly slots: Slot[] }, fresh: readonly Slot[]): Promise<void> {
    for (const slot of fresh) this.#giveUp(slot);
    await Promise.allSettled(this.#supervisor.launching);
    await Promise.allSettled(fresh.map((slot) => slot.running?.kill()));
    const gone = old.slots.filter((slot) => slot.gone.signal.aborted);
    await Promise.all([...fresh, ...gone].map((slot) => this.#forget(slot)));
    this.#plan = old.plan;
    this.#slots = old.slots.map((slot) => (gone.includes(slot) ? this.#slot(slot.member) : slot));
    const again = this.#slots.filter((slot) => !old.slots.includes(slot));
    if (this.#supervisor.stopping.signal.aborted) return;
    for (const slot of again) void this.#supervisor.recover(slot, { code: null, signal: 'a failed update' });
    await this.#supervisor.pushPeers();
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
