import type { OutsideHost } from './access.ts';
import type { Resources } from './configuration.ts';
import type { Json } from './json.ts';
import type { Literal } from './workflow.ts';

/**
 * A configuration made concrete for one target, with logical addresses. Same input, same bytes: no port, path,
 * credential or time in it.
 */
export interface Plan {
  readonly schemaVersion: 1;
  readonly application: string;
  readonly target: string;
  readonly configurationId: string;
  readonly units: readonly PlannedUnit[];
  readonly services: readonly PlannedService[];
  readonly ingress: PlannedIngress;
}

/**
 * `unit://<unit>/<protocol>[?option=value]` (options sorted) or `service://<id>`, bound to real addresses by the target;
 * or the absolute `http(s)` URL of something nobody deploys.
 */
export type LogicalAddress = string;

export interface PlannedUnit {
  readonly id: string;
  readonly agents: readonly string[];
  readonly toolServers: readonly string[];
  readonly replicas: number;
  readonly resources: Resources;
  readonly listens: readonly PlannedListener[];
  /** How each outgoing channel reaches each callee outside this unit. Callees inside need no route. */
  readonly routes: readonly Route[];
  readonly topics: readonly PlannedTopic[];
  /** Logical model name → service or external endpoint. */
  readonly models: { readonly [model: string]: PlannedModel };
  /** Of agents that have a pool of their own or get another model than they ask for: agent → model asked for → what it gets. */
  readonly agentModels?: { readonly [agent: string]: { readonly [model: string]: PlannedModel } };
  readonly state: PlannedState;
  /** Names of environment variables its agents may read; nothing else of the user's environment is passed. */
  readonly secrets: readonly string[];
  /** Places outside that its tools and agents declare they call, beside models and external components. */
  readonly hosts?: readonly OutsideHost[];
  /** Listener of the egress service through which everything goes that leaves the deployment; absent: it goes out directly. */
  readonly egress?: LogicalAddress;
  /** Whether this unit also takes the application's requests. */
  readonly ingress: boolean;
  /** Present for a unit somebody else built: it holds one component and is started as this says, without a bundle. */
  readonly program?: PlannedProgram;
}

/**
 * How a component that runs elsewhere is started, and what it is told through its environment. The target adds the port,
 * the addresses and where spans go (see `docs/elsewhere.md`).
 */
export interface PlannedProgram {
  /**
   * For targets that start commands. `{port}` in an argument becomes the port. Beside an image it is what the container
   * runs in place of its own entry point.
   */
  readonly command?: readonly string[];
  /** For targets that start containers. */
  readonly image?: string;
  /** Where the command runs, relative to the folder of the scenario, with forward slashes. */
  readonly folder: string;
  /** Environment variables with fixed values. */
  readonly environment: { readonly [name: string]: string };
  /** The environment variable that receives the port to listen on. */
  readonly portVariable: string;
  /** An image that always listens on this port of its container and is told none; absent: it listens where it is told. */
  readonly fixedPort?: number;
  /** Path under which it takes calls; `/` when it takes them at the root. */
  readonly path: string;
  /** Environment variable → the neighbour whose URL it receives. */
  readonly neighbours: { readonly [name: string]: PlannedNeighbour };
  /** Logical model → the environment variables that receive its base URL, key and name. */
  readonly models: { readonly [model: string]: { readonly baseUrl: string; readonly key?: string; readonly model?: string } };
  /** An HTTP path that answers 2xx once it is ready; absent: it is ready when its port accepts connections. */
  readonly ready?: { readonly path: string };
  /** It speaks MCP on its standard streams: a process of ours stands before it and listens on the port. */
  readonly stdio?: { readonly revision: string };
  /** Whether it exports spans of its own, so that it is told where to. */
  readonly instrumented: boolean;
  /** GPUs one replica has to itself; absent: none. */
  readonly gpus?: number;
  /** A folder of the user that its container sees, e.g. a cache of model weights; processes see it anyway. */
  readonly mount?: { readonly folder: string; readonly at: string };
  /** Shared memory of its container, for programs whose workers speak through it; absent: what the engine gives. */
  readonly sharedMemoryMb?: number;
  /** How long it may take until it is ready, where that is longer than anything of ours takes. */
  readonly readyTimeoutMs?: number;
}

export interface PlannedNeighbour {
  readonly component: string;
  readonly address: LogicalAddress;
  /** The URL it is told, with `{at}` where `host:port` of the bound address goes. */
  readonly url: string;
}

export interface PlannedListener {
  readonly protocol: string;
  readonly options: { readonly [option: string]: Literal };
  readonly address: LogicalAddress;
  /** Where somebody else looks for it, in files that fix ports; absent: any port. */
  readonly port?: number;
}

export interface Route {
  readonly channel: string;
  /** The component that calls. */
  readonly from: string;
  /** The component called. */
  readonly to: string;
  readonly protocol: string;
  readonly options: { readonly [option: string]: Literal };
  readonly address: LogicalAddress;
  readonly repeatable: boolean;
  /** How a replica is picked: `least-outstanding` of two, or by `session` (rendezvous hash) when the callee keeps state. */
  readonly balancing: 'least-outstanding' | 'session';
  /** Of an external callee: what one replica of this unit may ask of it, its share of what was declared. */
  readonly limits?: { readonly concurrency: number; readonly perSecond: number };
}

export interface PlannedTopic {
  readonly name: string;
  readonly delivery: 'broadcast' | 'anycast';
  /** Subscribing components in declared order, local ones included; `ingress` among them for the completion topic. */
  readonly subscribers: readonly string[];
}

export interface PlannedModel {
  /** Id of the LlmBackend. */
  readonly backend: string;
  /** `service://…` for a model we deploy, else an absolute URL. */
  readonly address: LogicalAddress;
  /** The name sent on the wire. */
  readonly model: string;
  readonly options: { readonly [option: string]: Literal };
  readonly secret?: string;
  /** Pool of ours that answers (see `poolOf`); absent for models nobody here deploys. */
  readonly pool?: string;
  /** The logical model that answers, where it is not the one asked for. */
  readonly chosen?: string;
  /** What all replicas of all units together may ask of it. */
  readonly limits?: ModelLimits;
  /** The service that keeps count of `limits`, `service://…`. */
  readonly limiter?: LogicalAddress;
}

/** Quotas of a model over everybody who asks; a quota per minute is enforced over `windowMs`. */
export interface ModelLimits {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  /** Calls under way at once. */
  readonly concurrency?: number;
  readonly windowMs: number;
}

export interface PlannedState {
  /** Id of the StateStore. */
  readonly store: string;
  readonly options: { readonly [option: string]: Literal };
  /** Present when shared state must be reached over the network: a service that hosts the store. */
  readonly address?: LogicalAddress;
}

/** What a plan needs beside units. `kind` selects the generated entry. */
export interface PlannedService {
  readonly id: string;
  readonly kind: 'model' | 'router' | 'limiter' | 'state' | 'gateway' | 'tape' | 'egress';
  readonly replicas: number;
  readonly resources: Resources;
  readonly options: { readonly [option: string]: Json };
  /** Names of environment variables it gets: to take their values out of what it writes or looks up, or for its program. */
  readonly secrets?: readonly string[];
  /** As in `PlannedUnit`. */
  readonly egress?: LogicalAddress;
  /** Present for a server somebody else built: it is started as this says, without a bundle. */
  readonly program?: PlannedProgram;
}

export interface PlannedIngress {
  /** The unit whose replicas take requests. */
  readonly unit: string;
  /** Present when a gateway balances over several replicas: `service://gateway`. */
  readonly gateway?: LogicalAddress;
  readonly entry:
    | { readonly kind: 'agent'; readonly agent: string }
    | { readonly kind: 'topic'; readonly publish: string; readonly complete: string };
  readonly deadlineMs: number;
}

/** Files of one bundle: one self-contained ES module per unit and service, and the readable entries they came from. */
export interface Bundle {
  /** Unit or service id. */
  readonly id: string;
  readonly code: string;
  /** The generated entry before bundling, for people to read. */
  readonly entry: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** User modules whose code is inside, relative to the workflow folder. */
  readonly modules: readonly string[];
}

/** Everything the agents of a unit may be answered by. */
export const plannedModelsOf = (unit: Pick<PlannedUnit, 'models' | 'agentModels'>): readonly PlannedModel[] => [
  ...Object.values(unit.models),
  ...Object.values(unit.agentModels ?? {}).flatMap((models) => Object.values(models)),
];
