import type { z } from 'zod';
import type { PoolLoad } from './pool-load.ts';

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
  /**
   * What holds a unit to the outside hosts it declares: `proxy`, a service of the plan that everything leaving passes;
   * `none`, nothing can. Absent: none.
   */
  readonly egress?: 'proxy' | 'none';
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
  /** Its servers answer `GET /metrics`, under the names of this engine or, simulated, under those of vLLM. */
  readonly metrics?: PoolLoad['source'];
  /** The server is a program that somebody else built. With `models.<name>.url` one that runs already is used instead. */
  readonly program?: ModelProgramTraits;
}

/** How a model server of others is started: words of the scenario's options, and what they become. */
export interface ModelProgramTraits {
  /** What comes before the name of the model, which is the first argument. */
  readonly command: readonly string[];
  /** Arguments it always gets; `{port}`, `{host}` and `{name}` (as asked for on the wire) are filled in. */
  readonly always: readonly string[];
  /** Option → its flag; one that is off has a flag of its own or none. A flag without value is for options that are true. */
  readonly flags: {
    readonly [option: string]: { readonly value: string; readonly with?: string } | { readonly on: string; readonly off?: string };
  };
  /** Options that are no flags of it; the planner or the client reads them. */
  readonly others: readonly string[];
  /** An image to propose where a container is asked for and none is named. */
  readonly exampleImage: string;
  /** Path that answers 2xx once it takes calls. */
  readonly ready: string;
  /** Loading weights takes minutes. */
  readonly readyTimeoutMs: number;
  /** Environment variable that names its cache of weights, and where its container keeps it. */
  readonly cache: { readonly variable: string; readonly at: string };
  /** Secrets of the user that it alone gets, where they are set. */
  readonly secrets: readonly string[];
  readonly environment: { readonly [name: string]: string };
  /**
   * How it forgets prompts it has cached, so that layouts of a study can share one server: a POST to this path, which it takes with
   * these variables. Absent: it cannot be told to.
   */
  readonly forget?: { readonly path: string; readonly environment: { readonly [name: string]: string } };
}
