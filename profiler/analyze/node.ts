import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';

/** What a span stands for (see `spanName` in the contracts). Everything else, e.g. spans of user code, is `other`. */
export type SpanRole = 'ingress' | 'call' | 'serve' | 'agent' | 'tool' | 'chat' | 'human' | 'other';

export interface TraceNode {
  readonly span: SpanRecord;
  readonly role: SpanRole;
  readonly parent: TraceNode | null;
  /** In order of start. */
  readonly children: readonly TraceNode[];
  readonly startMs: number;
  /** The span's own end, but for branches of a graph that meet at a join (see repair.ts). */
  readonly endMs: number;
  /**
   * When what the request waited for here was over: `endMs`, but on the way from the ingress to the message that completed
   * the request the arrival of that message, because there one-way messages are awaited after all.
   */
  readonly awaitedMs: number;
  /** On the way to the message that completed a request over topics. */
  readonly completing: boolean;
}

/** While a tree is put together. */
export type Mutable = Omit<{ -readonly [K in keyof TraceNode]: TraceNode[K] }, 'children' | 'parent'> & {
  children: Mutable[];
  parent: Mutable | null;
};

/** What the ingress is called where it is the receiver of a message. */
export const ingressComponent = 'ingress';

/** A number attribute, 0 when it is absent. */
export function amount(node: TraceNode | null, name: string): number {
  const value = node?.span.attributes[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
export function label(node: TraceNode, name: string): string | undefined {
  const value = node.span.attributes[name];
  return typeof value === 'string' ? value : undefined;
}

/** The component a `call` or `serve` goes to. */
export const calleeOf = (node: TraceNode): string => label(node, attr.to) ?? node.span.name.slice(node.span.name.indexOf(' ') + 1);

/** Where a component's code runs. */
export const isTurn = (node: Pick<TraceNode, 'role'>): boolean => node.role === 'agent' || node.role === 'tool';

/** One-way messages are not waited for; `completing` ones are, see `TraceNode.endMs`. */
export const isOneWay = (node: TraceNode): boolean => node.span.kind === 'producer';

/** Whether two spans ran in the same process. */
export const sameProcess = (a: TraceNode, b: TraceNode): boolean => a.span.unit === b.span.unit && a.span.replica === b.span.replica;
