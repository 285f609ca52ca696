import type { Incident, ProcessUsage } from '../../../compiler/contracts/index.ts';
import { addUsage, noUsage } from '../supervise/slot.ts';
import { bySeniority, endOf, endText, isReady, type Pod, restartsOf } from './pods.ts';

/** What a replica counts of itself since it started. */
export type Counted = Pick<ProcessUsage, 'cpuSeconds' | 'peakMemoryMb' | 'throttledSeconds' | 'receivedBytes' | 'sentBytes'>;

/** The place of one replica: pods come and go in it. */
export interface Place {
  readonly id: string;
  readonly replica: number;
  /** The pod that holds it; null while there is none. */
  pod: Pod | null;
  /** Ready at least once since it last came. */
  up: boolean;
  /** Ready at least once. */
  known: boolean;
  restarts: number;
  /** Of instances that have ended. */
  past: Counted;
  /** Of the present one, as last heard. */
  present: Counted;
  instance: string;
  killed: boolean;
}

/** A pod and how often its container was started: a new one begins to count at zero. */
export const instanceOf = (pod: Pod): string => `${pod.metadata.uid ?? pod.metadata.name}/${restartsOf(pod)}`;

/**
 * Which pod is which replica of one unit or service, and what befalls them. Pods of a Deployment have no numbers, so each
 * gets the lowest that is free when it comes.
 */
export class Replicas {
  readonly id: string;
  readonly places: Place[];
  /** From the first time all were ready: what ends before fails the deployment and is no incident. */
  supervised = false;
  readonly #incident: (incident: Omit<Incident, 'atMs'>) => void;
  readonly #returned: (place: Place) => void;

  constructor(id: string, count: number, incident: (incident: Omit<Incident, 'atMs'>) => void, returned: (place: Place) => void) {
    this.id = id;
    this.#incident = incident;
    this.#returned = returned;
    this.places = Array.from({ length: count }, (_, replica) => this.#place(replica));
  }

  #place = (replica: number): Place => ({
    ...{
      id: this.id,
      replica,
      pod: null,
      up: false,
      known: false,
      restarts: 0,
      past: noUsage,
      present: noUsage,
      instance: '',
      killed: false,
    },
  });

  resize(count: number): void {
    while (this.places.length < count) this.places.push(this.#place(this.places.length));
    this.places.splice(count);
  }

  /** Takes the pods as they are now. */
  take(pods: readonly Pod[]): void {
    const alive = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.phase !== 'Failed');
    for (const place of this.places) {
      const { pod } = place;
      if (pod === null) continue;
      const now = alive.find(({ metadata }) => metadata.uid === pod.metadata.uid);
      if (now === undefined) {
        const last = pods.find(({ metadata }) => metadata.uid === pod.metadata.uid);
        this.#lost(place, last?.status?.reason === 'Evicted' ? 'was evicted' : 'its pod is gone');
        place.pod = null;
      } else {
        if (restartsOf(now) > restartsOf(pod)) {
          const end = endOf(now);
          this.#lost(place, end === undefined ? 'ended' : endText(end));
        }
        place.pod = now;
      }
    }
    const held = new Set(this.places.map(({ pod }) => pod?.metadata.uid));
    const free = alive.filter(({ metadata }) => !held.has(metadata.uid)).sort(bySeniority);
    for (const place of this.places) place.pod ??= free.shift() ?? null;
    for (const place of this.places) if (place.pod !== null) this.#noticeReady(place, place.pod);
  }

  #lost(place: Place, detail: string): void {
    place.past = addCounted(place.past, place.present);
    place.present = noUsage;
    place.instance = '';
    if (!this.supervised || !place.up) return;
    place.up = false;
    if (!place.killed) this.#incident({ unit: this.id, replica: place.replica, what: 'crashed', detail });
    place.killed = false;
  }

  #noticeReady(place: Place, pod: Pod): void {
    place.instance = instanceOf(pod);
    if (place.up || !isReady(pod)) return;
    const again = place.known;
    place.up = true;
    place.known = true;
    // One that is added is no restart.
    if (!this.supervised || !again) return;
    place.restarts += 1;
    this.#incident({ unit: this.id, replica: place.replica, what: 'restarted', detail: `as ${pod.metadata.name}` });
    this.#returned(place);
  }
}

export function addCounted(a: Counted, b: Counted): Counted {
  const sum = (one: number | undefined, other: number | undefined) =>
    one === undefined && other === undefined ? undefined : (one ?? 0) + (other ?? 0);
  const [throttledSeconds, receivedBytes, sentBytes] = [
    sum(a.throttledSeconds, b.throttledSeconds),
    sum(a.receivedBytes, b.receivedBytes),
    sum(a.sentBytes, b.sentBytes),
  ];
  return {
    ...addUsage(a, b),
    ...(throttledSeconds === undefined ? {} : { throttledSeconds }),
    ...(receivedBytes === undefined ? {} : { receivedBytes }),
    ...(sentBytes === undefined ? {} : { sentBytes }),
  };
}
