import type { Attributes } from '@opentelemetry/api';
import type { Effect, Pattern } from '../../compiler/contracts/workflow.ts';
import type { CallMeta } from '../protocols/protocol.ts';
import type { Clock, Scope } from './scope.ts';
import { emptyClock } from './scope.ts';

/** A message on its way to a component, the same whether it goes by a function call or over a wire. */
export interface Delivery {
  readonly from: string;
  readonly to: string;
  readonly channel: string;
  readonly pattern: Pattern;
  readonly body: unknown;
  readonly scope: Scope;
  /** For `stream`: takes the chunks. */
  readonly emit?: (chunk: unknown) => void;
  /** For a tool server: which of its tools. */
  readonly tool?: string;
  /** Of a tool that only its server told of: what that says of it. Absent: it is taken to have side effects. */
  readonly effect?: Effect;
  /** For a node of a graph: the run's bookkeeping; the body then holds state and updates. */
  readonly graph?: GraphToken;
  readonly topic?: TopicStamp;
  /** Calls with one key reach one replica. */
  readonly affinity?: string;
  /** Only this instance will do. */
  readonly instance?: string;
  /** Shown on the caller's span of the hop. */
  readonly attributes?: Attributes;
}

/** Where a run of a graph is. Travels beside the state. */
export interface GraphToken {
  readonly graph: string;
  readonly runId: string;
  /** Node visits so far on this path. */
  readonly step: number;
  /** Forks this path is inside of, outermost first. */
  readonly forks: readonly ForkFrame[];
  /** Instance that works on this run, per unit it came through, so that all branches meet at one replica. */
  readonly places: { readonly [unit: string]: string };
  /** Set on arrival at a join: the node that comes before it. */
  readonly via?: string;
}

export interface ForkFrame {
  /** Unique in the run. */
  readonly id: string;
  /** Place among the branches, in declared order. */
  readonly branch: number;
  /** Visits when the fork was made. */
  readonly step: number;
}

export interface TopicStamp {
  readonly name: string;
  readonly conversation: string;
  /** Grows with each message of this publisher; unique per instance. */
  readonly sequence: number;
  /** Instance that published it. */
  readonly publisher: string;
}

/** What goes into `CallMeta.extra`. Names are short because they travel with every message. */
interface Extra {
  readonly ancestors?: readonly string[];
  readonly tool?: string;
  readonly graph?: GraphToken;
  readonly clock?: Clock;
  readonly publisher?: string;
}

export function encodeMeta(delivery: Delivery, attempt: number, trace: CallMeta['trace']): CallMeta {
  const { scope, topic } = delivery;
  const extra: { -readonly [K in keyof Extra]: Extra[K] } = {};
  if (scope.ancestors.length > 0) extra.ancestors = scope.ancestors;
  if (delivery.tool !== undefined) extra.tool = delivery.tool;
  if (delivery.graph !== undefined) extra.graph = delivery.graph;
  if (scope.clock !== emptyClock) extra.clock = scope.clock;
  if (topic !== undefined) extra.publisher = topic.publisher;
  return {
    requestId: scope.requestId,
    sessionId: scope.sessionId,
    from: delivery.from,
    channel: delivery.channel,
    remainingMs: scope.cancellation.remainingMs(),
    attempt,
    trace,
    extra: extra as { readonly [key: string]: unknown },
    ...(scope.requestClass === undefined ? {} : { requestClass: scope.requestClass }),
    ...(scope.origin === undefined ? {} : { origin: scope.origin }),
    ...(scope.resume === undefined ? {} : { resume: scope.resume }),
    ...(topic === undefined ? {} : { topic: { name: topic.name, conversation: topic.conversation, sequence: topic.sequence } }),
  };
}

/** The parts of a delivery that come from the meta. */
export function decodeMeta(meta: CallMeta) {
  // A stranger's client sends no extra; ours writes it itself, and units of one deployment run one version.
  const extra = (meta.extra ?? {}) as Extra;
  return {
    from: meta.from,
    channel: meta.channel,
    ancestors: extra.ancestors ?? [],
    clock: extra.clock ?? emptyClock,
    parts: {
      ...(extra.tool === undefined ? {} : { tool: extra.tool }),
      ...(extra.graph === undefined ? {} : { graph: extra.graph }),
      ...(meta.topic === undefined ? {} : { topic: { ...meta.topic, publisher: extra.publisher ?? meta.from } }),
    },
  };
}
