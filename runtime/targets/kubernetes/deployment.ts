import { setMaxListeners } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DmasError, type Incident, type Plan, type ProcessUsage, type StageContext } from '../../../compiler/contracts/index.ts';
import { redactor } from '../supervise/log.ts';
import { drainWaves, fileName } from '../supervise/members.ts';
import type { Deployment, DeployRequest, ModelServerAddress, UpdateRequest, UpdateSteps } from '../target.ts';
import { applyObject } from './apply.ts';
import { interrupted, untilReady } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { Collector } from './collector.ts';
import { Doors } from './doors.ts';
import { explained } from './failures.ts';
import { type Crew, Fleet, killMarginMs } from './fleet.ts';
import { labels, labelValue, objectName, selectorOf } from './labels.ts';
import type { KubernetesOptions } from './options.ts';
import { type DeploymentRecord, openRecord } from './record.ts';
import { type Staged, stagePlan } from './stage.ts';
import { applyOwn, belongs, memberName } from './staged.ts';
import { removeAllOf } from './tear-down.ts';
import { tracesRole } from './traces.ts';
import { KubernetesUpdate, type Standing } from './update.ts';
import { ObjectView } from './watch.ts';

/** How often usage is taken, so that little of what a crashed replica cost is lost; each time is a request per replica. */
const usageEveryMs = 15_000;
/** What is kept of the log of a replica when its deployment ends. */
const keptLogBytes = 1024 * 1024;

/**
 * Puts a plan on the cluster. When it rejects, nothing of it is left.
 * @throws DmasError DMAS_DEPLOY_FAILED with what is wrong with the pod at fault; DMAS_INTERRUPTED on abort
 */
export async function deployOnKubernetes(
  cluster: Cluster,
  options: KubernetesOptions,
  request: DeployRequest,
  context: StageContext,
): Promise<Deployment> {
  const deployment = new KubernetesDeployment(cluster, options, request, context);
  try {
    await deployment.start();
    return deployment;
  } catch (error) {
    await deployment.stop(0);
    if (context.signal.aborted) throw interrupted(error);
    throw error;
  }
}

class KubernetesDeployment implements Deployment {
  readonly id: string;
  readonly #cluster: Cluster;
  readonly #options: KubernetesOptions;
  readonly #request: DeployRequest;
  readonly #context: StageContext;
  readonly #name: string;
  readonly #pods: ObjectView;
  readonly #makers: ObjectView;
  readonly #fleet: Fleet;
  readonly #doors: Doors;
  readonly #collector: Collector;
  readonly #stopping = new AbortController();
  #environment: DeployRequest['environment'];
  #redact: (text: string) => string;
  #standing: Standing;
  #record: DeploymentRecord | undefined;
  #usageTimer: NodeJS.Timeout | undefined;
  #generation = 0;
  #updating: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(cluster: Cluster, options: KubernetesOptions, request: DeployRequest, context: StageContext) {
    this.id = request.deploymentId;
    this.#cluster = cluster;
    this.#options = options;
    this.#request = request;
    this.#context = context;
    this.#standing = { plan: request.plan, members: [], common: [] };
    this.#name = objectName(options.namePrefix, request.deploymentId);
    this.#environment = request.environment;
    this.#redact = redactor(request.environment);
    const selector = selectorOf({ [labels.deployment]: labelValue(request.deploymentId) });
    this.#pods = new ObjectView(cluster, 'v1/Pod', selector);
    this.#makers = new ObjectView(cluster, 'apps/v1/Deployment', selector);
    this.#fleet = new Fleet(cluster, this.#pods, request.samplingRatio, context.now);
    this.#doors = new Doors(cluster, this.#fleet, request.ingressPort);
    this.#collector = new Collector(request.otlpEndpoints);
  }

  get plan(): Plan {
    return this.#standing.plan;
  }

  get ingressUrls(): readonly string[] {
    return this.#doors.urls;
  }

  /** Pods by their own addresses where each is to get its share; the one before several by its name, which outlasts a pod. */
  get jobUrls(): readonly string[] {
    return this.#fleet.present.flatMap(({ member: { publicPort: port, host, replicas: count }, replicas }) => {
      if (port === null) return [];
      if (count === 1) return [`http://${host}:${port}`];
      return replicas.places.flatMap(({ pod }) => (pod?.status?.podIP === undefined ? [] : [`http://${pod.status.podIP}:${port}`]));
    });
  }

  async start(): Promise<void> {
    const { signal } = this.#context;
    // Every request under way listens to it.
    setMaxListeners(0, signal);
    mkdirSync(join(this.#request.folder, 'logs'), { recursive: true });
    signal.throwIfAborted();
    this.#record = await openRecord(this.#cluster, this.#name, this.id);
    signal.throwIfAborted();
    await explained('listing what is there', this.#cluster, () => Promise.all([this.#pods.start(signal), this.#makers.start(signal)]));
    this.#pods.onChange(() => this.#fleet.notice());
    const collector = await this.#collector.objects(this.#name, this.id, this.#options);
    const { plan, bundles } = this.#request;
    const staged = this.#stage(plan, bundles);
    const { members, common } = staged;
    this.#standing = { plan, ...staged };
    this.#fleet.present = this.#fleet.crewsFor(members);
    const first = [...collector, ...common, ...members.flatMap(({ doors }) => doors)];
    await Promise.all(first.map((object) => applyObject(this.#cluster, object, signal)));
    await Promise.all(members.map((member) => applyOwn(this.#cluster, member, signal)));
    await this.#untilReady(plan, this.#fleet.present, this.#collector.needed, signal);
    await this.#doors.open();
    await this.#collector.open(this.#cluster, this.#pods);
    this.#usageTimer = setInterval(() => void this.usage().catch(() => {}), usageEveryMs).unref();
  }

  usage(): Promise<readonly ProcessUsage[]> {
    return this.#fleet.usage();
  }

  stats() {
    return this.#fleet.stats();
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#doors.modelServers();
  }

  setSampling(ratio: number): Promise<void> {
    return this.#fleet.setSampling(ratio);
  }

  async flushTraces(): Promise<void> {
    await this.#fleet.tell(this.#fleet.everyone, 'POST', '/flush');
    await this.#collector.fetch();
  }

  incidents(): readonly Incident[] {
    return this.#fleet.incidents();
  }

  kill(unit: string, replica: number): Promise<void> {
    return this.#fleet.kill(unit, replica);
  }

  update(request: UpdateRequest, context: StageContext, steps: UpdateSteps = {}): Promise<void> {
    const update = this.#updating.then(() => this.#update(request, context, steps));
    this.#updating = update.catch(() => {});
    return update;
  }

  async logs(unit: string, replica: number): Promise<string> {
    return this.#redact(await this.#fleet.log(unit, replica));
  }

  stop(graceMs = this.#options.drainMs + killMarginMs): Promise<void> {
    this.#stopped ??= this.#tearDown(graceMs);
    return this.#stopped;
  }

  async #tearDown(graceMs: number): Promise<void> {
    this.#stopping.abort(new Error('the deployment is being stopped'));
    clearInterval(this.#usageTimer);
    await this.#updating;
    this.#fleet.supervise(false);
    await this.#keepLogs();
    await Promise.all([this.#doors.close(), this.#collector.close()]);
    await this.#fleet.close();
    // What cannot be removed now is found by `clean` once this process has ended.
    await removeAllOf(this.#cluster, this.#pods, this.id, graceMs).catch(() => {});
    await this.#record?.close().catch(() => {});
    await Promise.all([this.#pods.close(), this.#makers.close()]);
  }

  async #update({ plan, bundles, environment, fresh = false }: UpdateRequest, context: StageContext, steps: UpdateSteps): Promise<void> {
    this.#environment = { ...this.#environment, ...environment };
    this.#redact = redactor(this.#environment);
    if (fresh) this.#generation += 1;
    const parts = {
      ...{ cluster: this.#cluster, options: this.#options, pods: this.#pods, fleet: this.#fleet, doors: this.#doors },
      stopping: this.#stopping.signal,
      untilReady: (crews: readonly Crew[], signal: AbortSignal) => this.#untilReady(plan, crews, false, signal),
      adopt: (standing: Standing) => {
        this.#standing = standing;
      },
    };
    await new KubernetesUpdate(parts, this.#standing, { plan, ...this.#stage(plan, bundles) }, context, steps).run();
  }

  #stage(plan: Plan, bundles: DeployRequest['bundles']): Staged {
    return stagePlan({
      plan,
      bundles,
      name: this.#name,
      options: this.#options,
      request: { ...this.#request, environment: this.#environment },
      otlpEndpoints: this.#collector.endpoints,
      reference: this.#record?.reference ?? null,
      generation: this.#generation,
    });
  }

  async #untilReady(plan: Plan, crews: readonly Crew[], collector: boolean, signal: AbortSignal): Promise<void> {
    const patience = {
      readyMs: this.#request.readyTimeoutMs,
      startMs: Math.max(this.#options.startTimeoutMs, this.#request.readyTimeoutMs),
    };
    // Who waits for a callee is not at fault: callees first.
    const order = drainWaves(plan).flat();
    const calleesFirst = [...crews].sort((a, b) => order.indexOf(b.member.id) - order.indexOf(a.member.id));
    const expected = calleesFirst.map(({ member }) => ({
      ...{ name: memberName(member), replicas: member.replicas, maker: member.maker, foreign: member.foreign },
      owns: (pod: KubernetesObject) => belongs(pod, member),
    }));
    const traces = {
      ...{ name: 'the collector of traces', replicas: 1, maker: objectName(this.#name, tracesRole), foreign: false },
      owns: (pod: KubernetesObject) => pod.metadata.labels?.[labels.role] === tracesRole,
    };
    await untilReady(this.#cluster, this.#pods, this.#makers, collector ? [traces, ...expected] : expected, patience, { signal }).catch(
      (error: unknown) => {
        throw error instanceof DmasError ? redacted(error, this.#redact) : error;
      },
    );
    this.#fleet.notice();
    for (const { replicas } of crews) replicas.supervised = true;
  }

  async #keepLogs(): Promise<void> {
    await Promise.all(
      this.#fleet.present
        .flatMap(({ replicas }) => replicas.places)
        .map(async ({ id, replica, pod }) => {
          if (pod === null) return;
          const text = await this.#fleet.log(id, replica, { limitBytes: keptLogBytes });
          const file = join(this.#request.folder, 'logs', `${fileName(id)}-${replica}.log`);
          // A full disk must not keep pods alive.
          try {
            writeFileSync(file, this.#redact(text), { mode: 0o600 });
          } catch {}
        }),
    );
  }
}

const redacted = (error: DmasError, redact: (text: string) => string): DmasError =>
  new DmasError(
    error.problems.map((problem) => ({ ...problem, message: redact(problem.message) })),
    { cause: error.cause },
  );
