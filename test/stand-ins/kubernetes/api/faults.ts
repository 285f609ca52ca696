import type { KubeObject } from '../state/json.ts';
import { labelSelector } from '../state/selectors.ts';

/** What a request asks for, as far as faults and rights look at it. */
export interface Asked {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `pods/log`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly user: string;
}

/** Requests a fault is for; what is left out matches everything. */
export interface Aim {
  readonly verb?: string;
  readonly resource?: string;
  readonly namespace?: string;
  /** The beginning of a name. */
  readonly name?: string;
}

/** Something that goes wrong with requests. */
export type RequestFault = Aim & {
  readonly kind: 'conflict' | 'quota' | 'forbidden' | 'throttled' | 'unavailable' | 'admission' | 'hang-up' | 'slow';
  /** How many requests it is for; without it until it is taken away. */
  readonly times?: number;
  /** What an admission policy says, or how a quota is called. */
  readonly message?: string;
  readonly retryAfterSeconds?: number;
  readonly delayMs?: number;
};

/** Something that goes wrong with pods. */
export interface PodFault {
  readonly kind: 'crash-loop' | 'image-pull' | 'unschedulable' | 'slow-readiness' | 'never-ready' | 'oom-killed' | 'create-container';
  /** Pods it is for, by labels; without it all. */
  readonly selector?: string;
  readonly namespace?: string;
  readonly times?: number;
  /** Taint, missing resource or message, in the words of whoever refuses. */
  readonly message?: string;
  readonly delayMs?: number;
  readonly exitCode?: number;
}

export type Fault = RequestFault | PodFault;

const podKinds = new Set<string>([
  'crash-loop',
  'image-pull',
  'unschedulable',
  'slow-readiness',
  'never-ready',
  'oom-killed',
  'create-container',
]);
export const isPodFault = (fault: Fault): fault is PodFault => podKinds.has(fault.kind);

/** The faults that are on. */
export class Faults {
  private on: { readonly id: number; readonly fault: Fault; left: number; readonly pods: Set<string> }[] = [];
  private next = 1;
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
  }

  /** Puts a fault in; the answer takes it away. */
  add(fault: Fault): () => void {
    const id = this.next++;
    this.on.push({ id, fault, left: fault.times ?? Number.POSITIVE_INFINITY, pods: new Set() });
    this.changed();
    return () => this.remove(id);
  }

  clear(): void {
    this.on = [];
    this.changed();
  }

  /** The fault that meets a request, counted. */
  meet(asked: Asked): RequestFault | null {
    for (const entry of this.on) {
      const { fault } = entry;
      if (isPodFault(fault) || entry.left <= 0 || !aimedAt(fault, asked)) continue;
      entry.left -= 1;
      return fault;
    }
    return null;
  }

  /** The fault that meets a pod; counted once for each pod. */
  meetPod(pod: KubeObject, kinds: readonly PodFault['kind'][]): PodFault | null {
    for (const entry of this.on) {
      const { fault } = entry;
      if (!isPodFault(fault) || !kinds.includes(fault.kind)) continue;
      if (fault.namespace !== undefined && fault.namespace !== pod.metadata.namespace) continue;
      const test = labelSelector(fault.selector ?? '');
      if (test && !test(pod.metadata.labels ?? {})) continue;
      const known = entry.pods.has(pod.metadata.uid);
      if (!known && entry.left <= 0) continue;
      if (!known) {
        entry.pods.add(pod.metadata.uid);
        entry.left -= 1;
      }
      return fault;
    }
    return null;
  }

  private remove(id: number): void {
    this.on = this.on.filter((entry) => entry.id !== id);
    this.changed();
  }
}

const aimedAt = (aim: Aim, asked: Asked) =>
  (aim.verb === undefined || aim.verb === asked.verb) &&
  (aim.resource === undefined || aim.resource === asked.resource) &&
  (aim.namespace === undefined || aim.namespace === asked.namespace) &&
  (aim.name === undefined || asked.name.startsWith(aim.name));
