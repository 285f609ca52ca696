import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpUrl, type Incident, type Plan, type ProcessUsage, type StageContext } from '../../../compiler/contracts/index.ts';
import { exportDelayMs } from '../../../compiler/plan/program-environment.ts';
import type { Deployment, DeployRequest, ModelServerAddress, UpdateRequest, UpdateSteps } from '../target.ts';
import { readStats } from './control.ts';
import { deadline } from './deadline.ts';
import type { ReplicaHost, ReplicaUsage } from './host.ts';
import { ReplicaLog } from './log.ts';
import { fileName, type Member, memberKey, membersOf } from './members.ts';
import { addUsage, noUsage, Slot } from './slot.ts';
import { type SuperviseSettings, Supervisor } from './supervisor.ts';
import { killMarginMs, Update } from './update.ts';
import { Worlds, worldOf } from './worlds.ts';

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
  readonly #worlds: Worlds;
  #usageTimer: NodeJS.Timeout | undefined;
  #updating: Promise<void> = Promise.resolve();
  #generation = 0;
  #stopped: Promise<void> | undefined;

  constructor(request: DeployRequest, context: StageContext, host: ReplicaHost, settings: SuperviseSettings) {
    this.id = request.deploymentId;
    this.#request = request;
    this.#context = context;
    this.#host = host;
    this.#settings = settings;
    this.#worlds = new Worlds(worldOf(request.plan, []));
    this.#supervisor = new Supervisor(request, context, host, settings, this.#worlds);
  }

  get plan(): Plan {
    return this.#worlds.present.plan;
  }

  get ingressUrls(): readonly string[] {
    const entries = this.#worlds.present.slots.filter((slot) => slot.publicAt !== null).sort((a, b) => a.member.replica - b.member.replica);
    return entries.flatMap(({ publicAt }) => (publicAt ? [httpUrl(publicAt)] : []));
  }

  async start(): Promise<void> {
    mkdirSync(join(this.#request.folder, 'logs'), { recursive: true });
    const { plan, bundles } = this.#request;
    this.#worlds.present = worldOf(
      plan,
      membersOf(plan, bundles).map((member) => [this.#slot(member), member] as const),
    );
    const until = deadline(this.#request.readyTimeoutMs, this.#context.signal, this.#supervisor.stopping.signal);
    try {
      await this.#supervisor.prepare(this.#request, this.#context, until.signal);
      await this.#supervisor.bringUp(this.#worlds.present.slots, until.signal);
    } finally {
      until.clear();
    }
    this.#usageTimer = setInterval(() => this.#sampleUsage(), this.#host.usageIntervalMs).unref();
  }

  async usage(): Promise<readonly ProcessUsage[]> {
    return Promise.all(
      this.#worlds.present.slots.map(async ({ member: { id, replica } }) => {
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
      this.#worlds.present.slots.map(async ({ member: { id, replica }, running }) => ({
        id,
        replica,
        stats: running?.control ? await readStats(running.control) : null,
      })),
    );
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#worlds.present.slots.flatMap(({ member: { id, replica }, running }) =>
      running?.metricsAt === undefined
        ? []
        : [{ service: id, replica, instanceId: running.instanceId, url: httpUrl(running.metricsAt), gpus: running.gpus ?? [] }],
    );
  }

  async setSampling(ratio: number): Promise<void> {
    this.#supervisor.samplingRatio = ratio;
    await Promise.all(this.#worlds.everyone().map((slot) => slot.tell('PUT', '/sampling', { ratio })));
  }

  async flushTraces(): Promise<void> {
    // Programs that somebody else built cannot be asked; they send what they have in turns of their own.
    const ownTurns =
      this.#worlds.present.slots.some(({ member }) => member.program?.planned.instrumented) && this.#supervisor.samplingRatio > 0;
    await Promise.all([
      ...this.#worlds.present.slots.map((slot) => slot.tell('POST', '/flush')),
      ownTurns ? sleep(2 * exportDelayMs) : undefined,
    ]);
  }

  incidents(): readonly Incident[] {
    return [...this.#supervisor.incidents];
  }

  async kill(unit: string, replica: number): Promise<void> {
    const slot = this.#worlds.present.slots.find(({ member }) => member.id === unit && member.replica === replica);
    if (!slot?.running) throw new RangeError(`no replica ${replica} of ${unit} is running`);
    slot.killed = true;
    this.#supervisor.incident(slot, 'killed', 'killed by fault injection');
    await slot.running.kill();
  }

  update(request: UpdateRequest, context: StageContext, steps: UpdateSteps = {}): Promise<void> {
    const update = this.#updating.then(() => this.#update(request, context, steps));
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
    const log = this.#logs.get(key) ?? new ReplicaLog(file, this.#supervisor.environment);
    this.#logs.set(key, log);
    const slot = new Slot(member, log);
    this.#live.add(slot);
    return slot;
  }

  #sampleUsage(): void {
    // Read errors mean that the replica is going; its last values are kept by the host.
    for (const slot of this.#live) void slot.running?.usage().catch(() => {});
  }

  async #update(request: UpdateRequest, context: StageContext, steps: UpdateSteps): Promise<void> {
    const environment = { ...this.#supervisor.environment, ...request.environment };
    this.#supervisor.environment = environment;
    for (const log of this.#logs.values()) log.hide(environment);
    const parts = {
      worlds: this.#worlds,
      supervisor: this.#supervisor,
      readyTimeoutMs: this.#request.readyTimeoutMs,
      drainMs: this.#settings.drainMs,
      slot: (member: Member) => this.#slot(member),
      forget: (slot: Slot) => this.#forget(slot),
    };
    if (request.fresh) this.#generation += 1;
    await new Update(request.plan, membersOf(request.plan, request.bundles, this.#generation), parts, context, steps).run();
  }

  async #forget(slot: Slot): Promise<void> {
    const key = memberKey(slot.member.id, slot.member.replica);
    const usage = await slot.usage();
    const past = this.#past.get(key) ?? { usage: noUsage, restarts: 0 };
    this.#past.set(key, { usage: addUsage(past.usage, usage), restarts: past.restarts + slot.restarts });
    this.#live.delete(slot);
  }
}
