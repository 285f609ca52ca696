import type { z } from 'zod';

/** The kinds of plug-ins, each with its folder. */
export const pluginKinds = {
  frontend: 'compiler/frontends',
  emitter: 'compiler/emit',
  protocol: 'runtime/protocols',
  llmBackend: 'runtime/llm',
  stateStore: 'runtime/state',
  target: 'runtime/targets',
  collector: 'profiler/collect',
  searchStrategy: 'optimizer/search',
  view: 'reports/views',
} as const;
export type PluginKind = keyof typeof pluginKinds;

/**
 * What a plug-in says of itself: plain data, cheap to import. The id equals the file name and is the word users write.
 * The generated index collects descriptors; the scenario schema, `doctor`, the docs tables and the contract suites
 * come from it. `load` imports the heavy part only when it is used.
 */
export interface Descriptor<Kind extends PluginKind, Traits, Implementation> {
  readonly kind: Kind;
  readonly id: string;
  readonly title: string;
  /** Searchable or settable options; every one has a default. */
  readonly options: z.ZodObject;
  readonly traits: Traits;
  readonly load: () => Promise<Implementation>;
}

export interface ProtocolTraits {
  /** Works between hosts. */
  readonly crossHost: boolean;
  /** Only between components of one process. */
  readonly inProcess: boolean;
  /** Id of the service it needs between the ends, if any. */
  readonly mediator: string | null;
  /** Optional package that must be installed for it. */
  readonly peer: string | null;
  /**
   * URL under which a client that is not ours calls one component of a listener, with `{at}` for its `host:port` and
   * `{component}`. Absent: only our own ends speak it, so nothing that runs elsewhere can.
   */
  readonly strangerUrl?: string;
  /** Option values worth searching, by option name; the rest keep their default. */
  readonly searchable: { readonly [option: string]: readonly (string | number | boolean)[] };
}

export interface TargetTraits {
  /** Resource limits it enforces; others are not searchable on it. */
  readonly enforces: { readonly vcpu: boolean; readonly memory: boolean };
  readonly unixSockets: boolean;
  /** What it can start that somebody else built; absent: nothing. */
  readonly programs?: 'command' | 'image';
}

export interface StateTraits {
  /** Whether session state survives the loss of the replica that wrote it. */
  readonly survivesReplica: boolean;
  /** Whether it survives the end of the deployment. */
  readonly survivesDeployment: boolean;
  /** Several processes may open it at once without a service between. */
  readonly multiProcess: boolean;
}

export interface LlmTraits {
  /** We deploy a server for it as a service of the plan. */
  readonly deployed: boolean;
  readonly provenance: 'measured' | 'replayed' | 'simulated';
  /** One process serves all replicas of a pool (option `engineReplicas`) behind a router of its own. */
  readonly wholePool?: boolean;
}
