import type { Incident, ProcessUsage, StageContext } from '../../../compiler/contracts/index.ts';
import { podLog } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { Controls } from './controls.ts';
import { isReady, type Pod } from './pods.ts';
import { addCounted, instanceOf, type Place, Replicas } from './replicas.ts';
import { belongs, type StagedMember } from './staged.ts';
import { removeAndWait } from './tear-down.ts';
import type { ObjectView } from './watch.ts';

/** Added to the drain time before a pod that does not end is killed. */
export const killMarginMs = 5_000;

/** The replicas of one version of a unit or service. One that two plans have is the same in both. */
export interface Crew {
  readonly member: StagedMember;
  readonly replicas: Replicas;
}

/** Told when a replica ends that should not. */
export type CrashListener = (crew: Crew, replica: number, detail: string) => void;

/**
 * The replicas of a deployment while they run: which pod holds which place, what befell them, what they count, and what they are told.
 * While one plan replaces another, those of both run side by side.
 */
export class Fleet {
  readonly #cluster: Cluster;
  readonly #pods: ObjectView;
  readonly #now: StageContext['now'];
  readonly #controls: Controls;
  readonly #incidents: Incident[] = [];
  /** Numbers of places that were replaced, so that those of a key never fall. */
  readonly #gone = new Map<string, { usage: Place['past']; restarts: number }>();
  /** What replicas are told when they start; one that came again knows nothing else. */
  readonly #firstSampling: number;
  #sampling: number;
  /** Of the plan that serves. */
  present: readonly Crew[] = [];
  /** Of the plan on its way in or out. */
  beside: readonly Crew[] = [];
  readonly crashed = new Set<CrashListener>();

  constructor(cluster: Cluster, pods: ObjectView, samplingRatio: number, now: StageContext['now']) {
    this.#cluster = cluster;
    this.#pods = pods;
    this.#now = now;
    this.#controls = new Controls(cluster);
    this.#firstSampling = samplingRatio;
    this.#sampling = samplingRatio;
  }

  get everyone(): readonly Crew[] {
    const all = [...this.present, ...this.beside];
    return all.filter((crew, index) => all.findIndex(({ replicas }) => replicas === crew.replicas) === index);
  }

  /** Crews for members; those of versions that run already are theirs. */
  crewsFor(members: readonly StagedMember[]): readonly Crew[] {
    return members.map((member): Crew => {
      const kept = this.present.find(({ member: { id, version } }) => id === member.id && version === member.version);
      return { member, replicas: kept?.replicas ?? this.#follow(member) };
    });
  }

  #follow({ id, version, replicas }: StagedMember): Replicas {
    return new Replicas(
      id,
      replicas,
      (incident) => this.#happened(version, incident),
      (place) => void this.#welcome(version, place),
    );
  }

  #happened(version: string, incident: Omit<Incident, 'atMs'>): void {
    this.#note(incident);
    const crew = this.everyone.find(({ member }) => member.id === incident.unit && member.version === version);
    if (incident.what !== 'crashed' || crew === undefined) return;
    for (const noticed of this.crashed) noticed(crew, incident.replica, incident.detail);
  }

  #note(incident: Omit<Incident, 'atMs'>): void {
    this.#incidents.push({ atMs: this.#now(), ...incident });
  }

  incidents(): readonly Incident[] {
    return [...this.#incidents];
  }

  notice(): void {
    const pods = this.#pods.objects as readonly Pod[];
    for (const { member, replicas } of this.everyone) replicas.take(pods.filter((pod) => belongs(pod, member)));
    this.#controls.keep(pods);
  }

  podsOf(crews: readonly Crew[]): readonly KubernetesObject[] {
    return this.#pods.objects.filter((pod) => crews.some(({ member }) => belongs(pod, member))).map(asPod);
  }

  /** Of the plan that serves, else of the one beside it. */
  placeOf(id: string, replica: number): Place | undefined {
    return [...this.present, ...this.beside].find(({ member, replicas }) => member.id === id && replicas.places[replica])?.replicas.places[
      replica
    ];
  }

  async usage(): Promise<readonly ProcessUsage[]> {
    return Promise.all(
      this.present.flatMap(({ member: { id }, replicas }) =>
        replicas.places.map(async ({ replica }) => {
          // While a plan is replaced, the old and the new holder of a place run side by side.
          const crews = this.everyone.filter(({ member }) => member.id === id);
          const holders = crews.flatMap((crew) => crew.replicas.places.filter((place) => place.replica === replica));
          await Promise.all(crews.map((crew) => this.#count(crew, replica)));
          const counts = holders.map(({ past, present }) => addCounted(past, present));
          const gone = this.#gone.get(`${id}/${replica}`);
          return {
            ...{ id, replica },
            ...(gone === undefined ? counts : [gone.usage, ...counts]).reduce((sum, counted) => addCounted(sum, counted)),
            restarts: holders.reduce((sum, { restarts }) => sum + restarts, gone?.restarts ?? 0),
          };
        }),
      ),
    );
  }

  async stats() {
    return Promise.all(
      this.present.flatMap((crew) =>
        crew.replicas.places.map(async ({ id, replica }) => ({ id, replica, stats: await this.statsOf(crew, replica) })),
      ),
    );
  }

  /** Null where it does not answer. */
  async statsOf({ member, replicas }: Crew, replica: number): Promise<unknown> {
    const pod = replicas.places[replica]?.pod ?? null;
    return pod === null || member.controlPort === null ? null : this.#controls.stats(pod, member.controlPort);
  }

  async setSampling(ratio: number): Promise<void> {
    this.#sampling = ratio;
    await this.tell(this.everyone, 'PUT', '/sampling', { ratio });
  }

  /** Rejects when one that is ready does not take it. */
  async tell(crews: readonly Crew[], method: 'PUT' | 'POST', path: string, body?: unknown): Promise<void> {
    await Promise.all(
      crews.flatMap(({ member: { controlPort }, replicas: { places } }) =>
        places.map(async (place) => {
          const { pod } = place;
          if (pod === null || controlPort === null) return;
          await this.#controls.tell(pod, controlPort, method, path, body).catch((error: unknown) => {
            // One that is down or goes down meanwhile need not be told.
            if (place.pod !== null && isReady(place.pod) && place.pod.metadata.uid === pod.metadata.uid) throw error;
          });
        }),
      ),
    );
  }

  async kill(id: string, replica: number): Promise<void> {
    const crew = this.present.find(({ member }) => member.id === id);
    const place = crew?.replicas.places[replica];
    if (!place?.pod) throw new RangeError(`no replica ${replica} of ${id} is running`);
    const { pod } = place;
    if (crew) await this.#count(crew, replica);
    place.killed = true;
    this.#note({ unit: id, replica, what: 'killed', detail: 'killed by fault injection' });
    await removeAndWait(this.#cluster, this.#pods, [asPod(pod)], 0, killMarginMs);
  }

  async log(id: string, replica: number, query: { readonly [name: string]: string | number } = {}): Promise<string> {
    const pod = this.placeOf(id, replica)?.pod;
    return pod ? podLog(this.#cluster, pod.metadata.name, query) : '';
  }

  async #count({ member, replicas }: Crew, replica: number): Promise<void> {
    const place = replicas.places[replica];
    const pod = place?.pod ?? null;
    if (place === undefined || pod === null || member.controlPort === null) return;
    const counted = await this.#controls.usage(pod, member.controlPort);
    if (counted !== null && place.pod !== null && instanceOf(place.pod) === instanceOf(pod)) place.present = counted;
  }

  /** What they do from now on is no incident, and they count for the last time. */
  async dismiss(crews: readonly Crew[]): Promise<void> {
    for (const { replicas } of crews) replicas.supervised = false;
    await Promise.all(crews.flatMap((crew) => crew.replicas.places.map(({ replica }) => this.#count(crew, replica))));
  }

  /** Keeps what those that are gone counted, and nothing else of them. */
  forget(crews: readonly Crew[]): void {
    this.beside = [];
    for (const { id, replica, past, present, restarts } of crews.flatMap(({ replicas }) => replicas.places)) {
      const before = this.#gone.get(`${id}/${replica}`);
      const usage = addCounted(past, present);
      this.#gone.set(`${id}/${replica}`, {
        usage: before === undefined ? usage : addCounted(before.usage, usage),
        restarts: restarts + (before?.restarts ?? 0),
      });
    }
  }

  supervise(supervised: boolean): void {
    for (const { replicas } of this.everyone) replicas.supervised = supervised;
  }

  close(): Promise<void> {
    return this.#controls.close();
  }

  /** One that came again knows only what it was told at first. */
  async #welcome(version: string, place: Place): Promise<void> {
    const crew = this.everyone.find(({ member }) => member.id === place.id && member.version === version);
    if (place.pod === null || !crew?.member.controlPort) return;
    const { controlPort, settings } = crew.member;
    const tell = (path: string, body: unknown) =>
      place.pod === null ? undefined : this.#controls.tell(place.pod, controlPort, 'PUT', path, body).catch(() => {});
    if (settings !== null) await tell('/settings', settings);
    if (this.#sampling !== this.#firstSampling) await tell('/sampling', { ratio: this.#sampling });
  }
}

/** Items of a list bear no kind. */
const asPod = (pod: KubernetesObject): KubernetesObject => ({ ...pod, apiVersion: 'v1', kind: 'Pod' });
