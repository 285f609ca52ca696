import { setMaxListeners } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DmasError, type Incident, type Plan, type ProcessUsage, type StageContext } from '../../../compiler/contracts/index.ts';
import { redactor } from '../supervise/log.ts';
import { drainWaves, fileName } from '../supervise/members.ts';
import type { Deployment, DeployRequest, ModelServerAddress } from '../target.ts';
import { applyObject } from './apply.ts';
import { interrupted, podLog, untilReady } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { Controls } from './controls.ts';
import { explained } from './failures.ts';
import { tracesPort } from './inside/traces.ts';
import { labels, labelValue, objectName, selectorOf } from './labels.ts';
import { helperOptions, type KubernetesOptions } from './options.ts';
import { isReady, type Pod } from './pods.ts';
import { type DeploymentRecord, openRecord, ownership } from './record.ts';
import { addCounted, instanceOf, type Place, Replicas } from './replicas.ts';
import { type Staged, stagePlan } from './stage.ts';
import { memberName, type StagedMember } from './staged.ts';
import { removeAllOf, removeAndWait } from './tear-down.ts';
import { drainTraces, isLocal, tracesObjects, tracesRole } from './traces.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';
import { ObjectView } from './watch.ts';

/** How often usage is taken, so that little of what a crashed replica cost is lost; each time is a request per replica. */
const usageEveryMs = 15_000;
/** How often spans are fetched while they come, so that the collector inside does not fill up. */
const tracesEveryMs = 5_000;
/**
 * Callers look names up every second (`runtime/names.ts`), and cluster DNS keeps an answer for up to five (CoreDNS `kubernetes`,
 * ttl): what is replaced goes when all of them have seen the new one.
 */
const settleMs = 7_000;
/** Added to the drain time before a pod that does not end is killed. */
const killMarginMs = 5_000;
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
  readonly #controls: Controls;
  readonly #redact: (text: string) => string;
  /** Those of the plan, by member and version. */
  #staged: readonly StagedMember[] = [];
  #common: readonly KubernetesObject[] = [];
  #replicas = new Map<string, Replicas>();
  /** Numbers of places that were replaced, so that those of a key never fall. */
  readonly #gone = new Map<string, { usage: Place['past']; restarts: number }>();
  readonly #incidents: Incident[] = [];
  readonly #doors = new Map<string, Tunnel>();
  readonly #metrics = new Map<string, Tunnel>();
  readonly #timers: NodeJS.Timeout[] = [];
  #plan: Plan;
  #record: DeploymentRecord | undefined;
  #otlp: readonly string[];
  #traces: Tunnel | undefined;
  #samplingRatio: number;
  #updating: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(cluster: Cluster, options: KubernetesOptions, request: DeployRequest, context: StageContext) {
    this.id = request.deploymentId;
    this.#cluster = cluster;
    this.#options = options;
    this.#request = request;
    this.#context = context;
    this.#plan = request.plan;
    this.#name = objectName(options.namePrefix, request.deploymentId);
    this.#otlp = request.otlpEndpoints;
    this.#samplingRatio = request.samplingRatio;
    this.#redact = redactor(request.environment);
    const selector = selectorOf({ [labels.deployment]: labelValue(request.deploymentId) });
    this.#pods = new ObjectView(cluster, 'v1/Pod', selector);
    this.#makers = new ObjectView(cluster, 'apps/v1/Deployment', selector);
    this.#controls = new Controls(cluster);
  }

  get plan(): Plan {
    return this.#plan;
  }

  get ingressUrls(): readonly string[] {
    const keys = this.#staged.filter(({ publicPort }) => publicPort !== null).flatMap((member) => placesOf(member));
    return keys.flatMap((key) => urlOf(this.#doors.get(key)));
  }

  /** Pods by their own addresses where each is to get its share; the one before several by its name, which outlasts a pod. */
  get jobUrls(): readonly string[] {
    return this.#staged.flatMap((member) => {
      if (member.publicPort === null) return [];
      const { publicPort: port, host } = member;
      if (member.replicas === 1) return [`http://${host}:${port}`];
      const places = this.#replicas.get(member.id)?.places ?? [];
      return places.flatMap(({ pod }) => (pod?.status?.podIP === undefined ? [] : [`http://${pod.status.podIP}:${port}`]));
    });
  }

  async start(): Promise<void> {
    const { signal } = this.#context;
    // Every request under way listens to it.
    setMaxListeners(0, signal);
    mkdirSync(join(this.#request.folder, 'logs'), { recursive: true });
    signal.throwIfAborted();
    this.#record = await openRecord(this.#cluster, this.#name, this.id, signal);
    await explained('listing what is there', this.#cluster, () => Promise.all([this.#pods.start(signal), this.#makers.start(signal)]));
    this.#pods.onChange(() => this.#noticePods());
    const collector = await this.#collector();
    const { members, common } = this.#stage(this.#plan, this.#request.bundles);
    this.#staged = members;
    this.#common = common;
    for (const member of this.#staged) this.#replicas.set(member.id, this.#follow(member));
    await Promise.all([...collector, ...common, ...members.flatMap(({ doors }) => doors)].map((object) => this.#apply(object)));
    await Promise.all(this.#staged.map((member) => this.#applyOwn(member)));
    await this.#untilReady(this.#staged, collector.length > 0);
    await this.#openDoors();
    if (collector.length > 0) {
      const holder = () => this.#pods.objects.find((pod) => pod.metadata.labels?.[labels.role] === tracesRole && isReady(pod as Pod));
      this.#traces = await openTunnel(this.#cluster, () => holder()?.metadata.name, tracesPort);
      this.#timers.push(setInterval(() => void this.#fetchTraces().catch(() => {}), tracesEveryMs).unref());
    }
    this.#timers.push(setInterval(() => void this.usage().catch(() => {}), usageEveryMs).unref());
  }

  async usage(): Promise<readonly ProcessUsage[]> {
    const all = this.#staged.flatMap(({ id }) => this.#replicas.get(id)?.places ?? []);
    return Promise.all(
      all.map(async (place) => {
        const { id, replica } = place;
        await this.#count(place);
        const gone = this.#gone.get(`${id}/${replica}`);
        const total = addCounted(place.past, place.present);
        return {
          ...{ id, replica },
          ...(gone === undefined ? total : addCounted(gone.usage, total)),
          restarts: place.restarts + (gone?.restarts ?? 0),
        };
      }),
    );
  }

  async stats() {
    return Promise.all(
      this.#own().map(async ({ member, place }) => ({
        id: place.id,
        replica: place.replica,
        stats: place.pod === null || member.controlPort === null ? null : await this.#controls.stats(place.pod, member.controlPort),
      })),
    );
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#own().flatMap(({ member, place: { id, replica, pod, instance } }) => {
      const [url] = member.metricsPort === null ? [] : urlOf(this.#metrics.get(`${id}/${replica}`));
      return pod === null || url === undefined ? [] : [{ service: id, replica, instanceId: instance, url, gpus: [] }];
    });
  }

  async setSampling(ratio: number): Promise<void> {
    this.#samplingRatio = ratio;
    await this.#tellAll('PUT', '/sampling', { ratio });
  }

  async flushTraces(): Promise<void> {
    await this.#tellAll('POST', '/flush');
    await this.#fetchTraces();
  }

  incidents(): readonly Incident[] {
    return [...this.#incidents];
  }

  async kill(unit: string, replica: number): Promise<void> {
    const place = this.#replicas.get(unit)?.places[replica];
    if (!place?.pod) throw new RangeError(`no replica ${replica} of ${unit} is running`);
    const { pod } = place;
    await this.#count(place);
    place.killed = true;
    this.#note({ unit, replica, what: 'killed', detail: 'killed by fault injection' });
    await removeAndWait(this.#cluster, this.#pods, [asPod(pod)], 0, killMarginMs);
  }

  update(request: Pick<DeployRequest, 'plan' | 'bundles'>, context: StageContext): Promise<void> {
    const update = this.#updating.then(() => this.#update(request, context));
    this.#updating = update.catch(() => {});
    return update;
  }

  async logs(unit: string, replica: number): Promise<string> {
    const pod = this.#replicas.get(unit)?.places[replica]?.pod;
    return pod ? this.#redact(await podLog(this.#cluster, pod.metadata.name, {})) : '';
  }

  stop(graceMs = this.#options.drainMs + killMarginMs): Promise<void> {
    this.#stopped ??= this.#tearDown(graceMs);
    return this.#stopped;
  }

  async #tearDown(graceMs: number): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#updating;
    for (const replicas of this.#replicas.values()) replicas.supervised = false;
    await this.#keepLogs();
    await Promise.all([...this.#doors.values(), ...this.#metrics.values(), this.#traces].map((tunnel) => tunnel?.close()));
    await this.#controls.close();
    // What cannot be removed now is found by `clean` once this process has ended.
    await removeAllOf(this.#cluster, this.#pods, this.id, graceMs > 0 ? this.#waves(this.#plan, this.#staged) : [], graceMs).catch(
      () => {},
    );
    await this.#record?.close().catch(() => {});
    await Promise.all([this.#pods.close(), this.#makers.close()]);
  }

  #waves(plan: Plan, staged: readonly StagedMember[]): string[][] {
    const makerOf = new Map(staged.map(({ id, maker }) => [id, maker]));
    return drainWaves(plan).map((wave) => wave.flatMap((id) => makerOf.get(id) ?? []));
  }

  #stage(plan: Plan, bundles: DeployRequest['bundles']): Staged {
    return stagePlan({
      plan,
      bundles,
      name: this.#name,
      options: this.#options,
      request: this.#request,
      otlpEndpoints: this.#otlp,
      reference: this.#record?.reference ?? null,
    });
  }

  /** Spans for receivers of this machine are held in the cluster until they are fetched. */
  async #collector(): Promise<readonly KubernetesObject[]> {
    if (!this.#request.otlpEndpoints.some(isLocal)) return [];
    const owned = ownership(this.id);
    const { objects, url } = await tracesObjects(this.#name, {
      ...helperOptions(this.#options),
      labels: { ...this.#options.labels, ...owned.labels, [labels.role]: tracesRole },
      annotations: { ...this.#options.annotations, ...owned.annotations },
    });
    this.#otlp = [url, ...this.#request.otlpEndpoints.filter((endpoint) => !isLocal(endpoint))];
    return objects;
  }

  async #fetchTraces(): Promise<void> {
    if (this.#traces === undefined) return;
    await drainTraces(this.#traces, this.#request.otlpEndpoints.filter(isLocal));
  }

  #apply = (object: KubernetesObject): Promise<KubernetesObject> => applyObject(this.#cluster, object, this.#context.signal);

  /** The Deployment after what its pods need. */
  async #applyOwn({ own }: StagedMember, signal = this.#context.signal): Promise<void> {
    await Promise.all(own.slice(0, -1).map((object) => applyObject(this.#cluster, object, signal)));
    for (const maker of own.slice(-1)) await applyObject(this.#cluster, maker, signal);
  }

  async #untilReady(members: readonly StagedMember[], collector: boolean, signal = this.#context.signal): Promise<void> {
    const patience = {
      readyMs: this.#request.readyTimeoutMs,
      startMs: Math.max(this.#options.startTimeoutMs, this.#request.readyTimeoutMs),
    };
    const expected = members.map((member) => ({
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
    this.#noticePods();
    for (const { id } of members) {
      const replicas = this.#replicas.get(id);
      if (replicas) replicas.supervised = true;
    }
  }

  #follow({ id, replicas }: StagedMember): Replicas {
    return new Replicas(
      id,
      replicas,
      (incident) => this.#note(incident),
      (place) => void this.#welcome(place),
    );
  }

  #note(incident: Omit<Incident, 'atMs'>): void {
    this.#incidents.push({ atMs: this.#context.now(), ...incident });
  }

  /** One that came again knows only what it was told at first. */
  async #welcome(place: Place): Promise<void> {
    const member = this.#staged.find(({ id }) => id === place.id);
    if (place.pod === null || !member?.controlPort || this.#samplingRatio === this.#request.samplingRatio) return;
    await this.#controls.tell(place.pod, member.controlPort, 'PUT', '/sampling', { ratio: this.#samplingRatio }).catch(() => {});
  }

  #noticePods(): void {
    const pods = this.#pods.objects as readonly Pod[];
    for (const member of this.#staged) this.#replicas.get(member.id)?.take(pods.filter((pod) => belongs(pod, member)));
    this.#controls.keep(pods);
  }

  async #count(place: Place): Promise<void> {
    const member = this.#staged.find(({ id }) => id === place.id);
    const { pod } = place;
    if (pod === null || !member?.controlPort) return;
    const counted = await this.#controls.usage(pod, member.controlPort);
    if (counted !== null && place.pod !== null && instanceOf(place.pod) === instanceOf(pod)) place.present = counted;
  }

  /** Every place whose member is ours, or not. */
  #own(): readonly { readonly member: StagedMember; readonly place: Place }[] {
    return this.#staged.flatMap((member) => (this.#replicas.get(member.id)?.places ?? []).map((place) => ({ member, place })));
  }

  async #tellAll(method: 'PUT' | 'POST', path: string, body?: unknown): Promise<void> {
    await Promise.all(
      this.#own().map(async ({ member: { controlPort }, place }) => {
        const { pod } = place;
        if (pod === null || controlPort === null) return;
        await this.#controls.tell(pod, controlPort, method, path, body).catch((error: unknown) => {
          // One that is down or goes down meanwhile need not be told.
          if (place.pod !== null && isReady(place.pod) && place.pod.metadata.uid === pod.metadata.uid) throw error;
        });
      }),
    );
  }

  /** A tunnel for each place that users call, and for each model server. */
  async #openDoors(): Promise<void> {
    const open = async (tunnels: Map<string, Tunnel>, member: StagedMember, port: number, wished: number): Promise<void> => {
      for (const key of placesOf(member)) {
        if (tunnels.has(key)) continue;
        const replica = Number(key.slice(key.lastIndexOf('/') + 1));
        const pick = () => this.#replicas.get(member.id)?.places[replica]?.pod?.metadata.name;
        tunnels.set(key, await openTunnel(this.#cluster, pick, port, wished > 0 ? wished + replica : 0));
      }
    };
    for (const member of this.#staged) {
      if (member.publicPort !== null) await open(this.#doors, member, member.publicPort, this.#request.ingressPort);
      if (member.metricsPort !== null) await open(this.#metrics, member, member.metricsPort, 0);
    }
  }

  async #closeDoors(): Promise<void> {
    const wanted = (port: 'publicPort' | 'metricsPort') =>
      new Set(this.#staged.filter((member) => member[port] !== null).flatMap((member) => placesOf(member)));
    for (const [tunnels, keys] of [
      [this.#doors, wanted('publicPort')],
      [this.#metrics, wanted('metricsPort')],
    ] as const) {
      for (const [key, tunnel] of [...tunnels]) {
        if (keys.has(key)) continue;
        tunnels.delete(key);
        await tunnel.close();
      }
    }
  }

  async #keepLogs(): Promise<void> {
    await Promise.all(
      this.#own().map(async ({ place: { id, replica, pod } }) => {
        if (pod === null) return;
        const text = await podLog(this.#cluster, pod.metadata.name, { limitBytes: keptLogBytes });
        const file = join(this.#request.folder, 'logs', `${fileName(id)}-${replica}.log`);
        // A full disk must not keep pods alive.
        try {
          writeFileSync(file, this.#redact(text), { mode: 0o600 });
        } catch {}
      }),
    );
  }

  async #update({ plan, bundles }: Pick<DeployRequest, 'plan' | 'bundles'>, context: StageContext): Promise<void> {
    const old = { plan: this.#plan, staged: this.#staged, replicas: this.#replicas, common: this.#common };
    const { members, common } = this.#stage(plan, bundles);
    const sameAs = (member: StagedMember) => old.staged.find(({ id, version }) => id === member.id && version === member.version);
    const next = members.map((member) => resizedAs(sameAs(member), member));
    const fresh = next.filter((member) => sameAs(member) === undefined);
    const resized = next.filter((member) => sameAs(member) !== undefined && sameAs(member)?.replicas !== member.replicas);
    const retiring = old.staged.filter(({ id, version }) => !next.some((member) => member.id === id && member.version === version));
    const present = new Set(old.staged.flatMap(({ doors }) => doors.map(({ metadata }) => metadata.name)));
    const newDoors = fresh.flatMap(({ doors }) => doors.filter(({ metadata }) => !present.has(metadata.name)));
    try {
      // Names that nobody calls yet lead to the new ones at once; those in use stay with the old until the switch.
      await Promise.all([...common, ...newDoors].map((object) => applyObject(this.#cluster, object, context.signal)));
      await Promise.all([...fresh, ...resized].map((member) => this.#applyOwn(member, context.signal)));
      await this.#untilReady([...fresh, ...resized], false, context.signal);
    } catch (error) {
      await this.#rollBack(
        fresh,
        newDoors,
        resized.flatMap((member) => sameAs(member) ?? []),
      );
      throw context.signal.aborted ? interrupted(error) : error;
    }
    this.#replicas = new Map(
      next.map((member) => {
        const kept = sameAs(member) === undefined ? undefined : old.replicas.get(member.id);
        kept?.resize(member.replicas);
        return [member.id, kept ?? this.#follow(member)];
      }),
    );
    this.#staged = next;
    this.#common = common;
    this.#plan = plan;
    this.#noticePods();
    for (const replicas of this.#replicas.values()) replicas.supervised = true;
    await Promise.all(next.flatMap(({ doors }) => doors).map((object) => applyObject(this.#cluster, object, context.signal)));
    await this.#openDoors();
    if (retiring.length > 0) await sleep(settleMs);
    for (const { id } of retiring) this.#bury(old.replicas.get(id));
    await this.#retire(old, retiring);
    await this.#closeDoors();
  }

  /** Keeps what replaced places counted. */
  #bury(replicas: Replicas | undefined): void {
    for (const { id, replica, past, present, restarts } of replicas?.places ?? []) {
      const before = this.#gone.get(`${id}/${replica}`);
      const usage = addCounted(past, present);
      this.#gone.set(`${id}/${replica}`, {
        usage: before === undefined ? usage : addCounted(before.usage, usage),
        restarts: restarts + (before?.restarts ?? 0),
      });
    }
  }

  /** Users' entry first, then what it calls: nobody loses a callee while it still works. */
  async #retire(
    old: { readonly plan: Plan; readonly common: readonly KubernetesObject[] },
    retiring: readonly StagedMember[],
  ): Promise<void> {
    const kept = new Set([...this.#common, ...this.#staged.flatMap(({ doors, own }) => [...doors, ...own])].map(keyOf));
    const graceMs = this.#options.drainMs + killMarginMs;
    for (const wave of this.#waves(old.plan, retiring)) {
      const leaving = retiring.filter(({ maker }) => wave.includes(maker));
      const makers = leaving.flatMap(({ own }) => own.slice(-1));
      const pods = this.#pods.objects.filter((pod) => leaving.some((member) => belongs(pod, member)));
      await removeAndWait(this.#cluster, this.#pods, [...makers, ...pods.map(asPod)], undefined, graceMs);
    }
    const rest = [...retiring.flatMap(({ own, doors }) => [...own, ...doors]), ...old.common].filter((object) => !kept.has(keyOf(object)));
    await removeAndWait(this.#cluster, this.#pods, rest, undefined, 0);
  }

  async #rollBack(fresh: readonly StagedMember[], newDoors: readonly KubernetesObject[], before: readonly StagedMember[]): Promise<void> {
    const pods = this.#pods.objects.filter((pod) => fresh.some((member) => belongs(pod, member))).map(asPod);
    const objects = [...fresh.flatMap(({ own }) => own).reverse(), ...pods, ...newDoors];
    await removeAndWait(this.#cluster, this.#pods, objects, 0, killMarginMs).catch(() => {});
    for (const member of before) await this.#applyOwn(member, new AbortController().signal).catch(() => {});
  }
}

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata.name}`;
const placesOf = ({ id, replicas }: StagedMember): string[] => Array.from({ length: replicas }, (_, replica) => `${id}/${replica}`);
const urlOf = (tunnel: Tunnel | undefined): string[] => (tunnel === undefined ? [] : [`http://${tunnel.host}:${tunnel.port}`]);
/** Items of a list bear no kind. */
const asPod = (pod: KubernetesObject): KubernetesObject => ({ ...pod, apiVersion: 'v1', kind: 'Pod' });
const belongs = ({ metadata }: KubernetesObject, { id, version }: StagedMember): boolean =>
  metadata.labels?.[labels.member] === labelValue(id) && metadata.labels[labels.version] === version;

/** Pods that stay keep their template, or Kubernetes would replace them: only their number changes. */
function resizedAs(present: StagedMember | undefined, next: StagedMember): StagedMember {
  const maker = present?.own.at(-1);
  if (maker === undefined) return next;
  return { ...next, own: [...next.own.slice(0, -1), { ...maker, spec: { ...(maker.spec as object), replicas: next.replicas } }] };
}

const redacted = (error: DmasError, redact: (text: string) => string): DmasError =>
  new DmasError(
    error.problems.map((problem) => ({ ...problem, message: redact(problem.message) })),
    { cause: error.cause },
  );
