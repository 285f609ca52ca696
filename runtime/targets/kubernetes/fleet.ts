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

/** A place, and whose it is. */
interface Held {
  readonly member: StagedMember;
  readonly place: Place;
}

/** The replicas of a deployment while they run: which pod holds which place, what befell them, what they count, and what they are told. */
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
  /** Those of the plan, by member and version. */
  staged: readonly StagedMember[] = [];
  replicas = new Map<string, Replicas>();

  constructor(cluster: Cluster, pods: ObjectView, samplingRatio: number, now: StageContext['now']) {
    this.#cluster = cluster;
    this.#pods = pods;
    this.#now = now;
    this.#controls = new Controls(cluster);
    this.#firstSampling = samplingRatio;
    this.#sampling = samplingRatio;
  }

  follow({ id, replicas }: StagedMember): Replicas {
    return new Replicas(
      id,
      replicas,
      (incident) => this.note(incident),
      (place) => void this.#welcome(place),
    );
  }

  note(incident: Omit<Incident, 'atMs'>): void {
    this.#incidents.push({ atMs: this.#now(), ...incident });
  }

  incidents(): readonly Incident[] {
    return [...this.#incidents];
  }

  notice(): void {
    const pods = this.#pods.objects as readonly Pod[];
    for (const member of this.staged) this.replicas.get(member.id)?.take(pods.filter((pod) => belongs(pod, member)));
    this.#controls.keep(pods);
  }

  placeOf(id: string, replica: number): Place | undefined {
    return this.replicas.get(id)?.places[replica];
  }

  /** Every place, with its member. */
  held(): readonly Held[] {
    return this.staged.flatMap((member) => (this.replicas.get(member.id)?.places ?? []).map((place) => ({ member, place })));
  }

  async usage(): Promise<readonly ProcessUsage[]> {
    return Promise.all(
      this.held().map(async ({ place }) => {
        const { id, replica } = place;
        await this.count(place);
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
      this.held().map(async ({ member, place }) => ({
        id: place.id,
        replica: place.replica,
        stats: place.pod === null || member.controlPort === null ? null : await this.#controls.stats(place.pod, member.controlPort),
      })),
    );
  }

  async setSampling(ratio: number): Promise<void> {
    this.#sampling = ratio;
    await this.tellAll('PUT', '/sampling', { ratio });
  }

  async tellAll(method: 'PUT' | 'POST', path: string, body?: unknown): Promise<void> {
    await Promise.all(
      this.held().map(async ({ member: { controlPort }, place }) => {
        const { pod } = place;
        if (pod === null || controlPort === null) return;
        await this.#controls.tell(pod, controlPort, method, path, body).catch((error: unknown) => {
          // One that is down or goes down meanwhile need not be told.
          if (place.pod !== null && isReady(place.pod) && place.pod.metadata.uid === pod.metadata.uid) throw error;
        });
      }),
    );
  }

  async kill(id: string, replica: number): Promise<void> {
    const place = this.placeOf(id, replica);
    if (!place?.pod) throw new RangeError(`no replica ${replica} of ${id} is running`);
    const { pod } = place;
    await this.count(place);
    place.killed = true;
    this.note({ unit: id, replica, what: 'killed', detail: 'killed by fault injection' });
    await removeAndWait(this.#cluster, this.#pods, [asPod(pod)], 0, killMarginMs);
  }

  async log(id: string, replica: number, query: { readonly [name: string]: string | number } = {}): Promise<string> {
    const pod = this.placeOf(id, replica)?.pod;
    return pod ? podLog(this.#cluster, pod.metadata.name, query) : '';
  }

  async count(place: Place): Promise<void> {
    const member = this.staged.find(({ id }) => id === place.id);
    const { pod } = place;
    if (pod === null || !member?.controlPort) return;
    const counted = await this.#controls.usage(pod, member.controlPort);
    if (counted !== null && place.pod !== null && instanceOf(place.pod) === instanceOf(pod)) place.present = counted;
  }

  /** Keeps what replaced places counted. */
  bury(replicas: Replicas | undefined): void {
    for (const { id, replica, past, present, restarts } of replicas?.places ?? []) {
      const before = this.#gone.get(`${id}/${replica}`);
      const usage = addCounted(past, present);
      this.#gone.set(`${id}/${replica}`, {
        usage: before === undefined ? usage : addCounted(before.usage, usage),
        restarts: restarts + (before?.restarts ?? 0),
      });
    }
  }

  supervise(supervised: boolean): void {
    for (const replicas of this.replicas.values()) replicas.supervised = supervised;
  }

  close(): Promise<void> {
    return this.#controls.close();
  }

  async #welcome(place: Place): Promise<void> {
    const member = this.staged.find(({ id }) => id === place.id);
    if (place.pod === null || !member?.controlPort || this.#sampling === this.#firstSampling) return;
    await this.#controls.tell(place.pod, member.controlPort, 'PUT', '/sampling', { ratio: this.#sampling }).catch(() => {});
  }
}

/** Items of a list bear no kind. */
export const asPod = (pod: KubernetesObject): KubernetesObject => ({ ...pod, apiVersion: 'v1', kind: 'Pod' });
