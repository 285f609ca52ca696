import type { JsonObject, KubeObject } from '../state/json.ts';

export interface Exit {
  readonly code: number;
  readonly reason: 'Completed' | 'Error' | 'OOMKilled';
}

/** A container that runs. */
export interface Running {
  readonly exited: Promise<Exit>;
  /** Asks it to end, then ends it. */
  stop(graceMs: number): void;
}

/** Where and as what a container is started. */
export interface Start {
  readonly pod: KubeObject;
  readonly container: JsonObject;
  readonly init: boolean;
  readonly podIp: string;
  readonly log: (text: string) => void;
}

/** What runs containers, or pretends to. */
export interface Engine {
  /** True where an image can be had. */
  hasImage(image: string): boolean;
  /** @throws {Error} what the kubelet says when a container cannot be made, as `Reason: message` */
  start(start: Start): Promise<Running>;
  /** Asks a probe; null where this engine does not answer probes and time does. */
  probe(probe: JsonObject, pod: KubeObject, podIp: string): Promise<boolean> | null;
  /** A pod is gone. */
  forget(uid: string): Promise<void>;
  close(): Promise<void>;
}
