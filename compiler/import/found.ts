import type { Mobility } from '../contracts/index.ts';

/**
 * What one source (a card, a compose file, a namespace, traces) says of a system that runs already. Sources are read
 * separately and joined by name (`join.ts`); what no source says stays absent and becomes a question.
 */
export interface FoundSystem {
  readonly name: string;
  readonly components: readonly FoundComponent[];
  readonly edges: readonly FoundEdge[];
  /** The component users call, where the source says it. */
  readonly entry?: string;
  readonly models: readonly FoundModel[];
  /** Things that are not agents and are left where they are: databases, brokers, dashboards. */
  readonly services: readonly FoundService[];
  readonly questions: readonly Question[];
}

export interface FoundComponent {
  /** A name fit for a scenario; `called` is the source's own when it differs. */
  readonly name: string;
  readonly called?: string;
  readonly kind: 'agent' | 'toolServer';
  readonly description?: string;
  readonly mobility: Mobility;
  /** Why it is not freer than that; shown beside it in the draft. */
  readonly reason: string;
  /** Protocol it speaks, where known. */
  readonly speaks?: string;
  readonly options?: { readonly [option: string]: string | number | boolean };
  readonly run?: FoundProgram;
  readonly replicas?: number;
  readonly resources?: { readonly vcpu?: number; readonly memoryMb?: number };
  readonly autoscaling?: { readonly min: number; readonly max: number; readonly by: string };
  readonly tools?: readonly string[];
  readonly streams?: boolean;
  /** Where it was read, e.g. `compose.yaml:12` or `deployment/researcher`. */
  readonly place: string;
}

/** How it is started or reached. */
export type FoundProgram =
  | { readonly kind: 'url'; readonly url: string }
  | {
      readonly kind: 'image';
      readonly image: string;
      readonly command?: readonly string[];
      readonly environment: { readonly [name: string]: string };
      /** Environment names that hold a neighbour's address. */
      readonly neighbours: { readonly [name: string]: string };
      /** Model → the environment name that holds its base URL. */
      readonly models: { readonly [model: string]: string };
      /** The port it always listens on; absent: it listens where the variable PORT says, or nobody knows. */
      readonly port?: number;
      /** Environment names that hold secrets: named, never copied. */
      readonly secrets: readonly string[];
    };

export interface FoundEdge {
  readonly from: string;
  readonly to: string;
  /** `seen` in traces or declared; `guessed` from a hint such as an address or a start order. */
  readonly certainty: 'seen' | 'guessed';
  readonly place: string;
}

export interface FoundModel {
  readonly name: string;
  readonly url?: string;
  readonly model?: string;
  readonly usedBy: readonly string[];
  readonly place: string;
}

export interface FoundService {
  readonly name: string;
  readonly what: string;
  readonly place: string;
}

/** Something only the team knows; stands in the draft and on the terminal. */
export interface Question {
  readonly about: string;
  readonly text: string;
  readonly place?: string;
  /** Present when it asks whether this edge exists. */
  readonly edge?: { readonly from: string; readonly to: string };
}

/** A source's name as a scenario's: `Research_Agent v2` → `research-agent-v2`. */
export function scenarioName(called: string): string {
  const name = called
    .normalize('NFKD')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return name === '' ? 'unnamed' : /^[a-z]/.test(name) ? name : `agent-${name}`;
}

export const calledIfOther = (called: string): { called?: string } => (scenarioName(called) === called ? {} : { called });
