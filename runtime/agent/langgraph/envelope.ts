import { performance } from 'node:perf_hooks';
import { trace } from '@opentelemetry/api';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import { type CompiledGraph, isCommand, isSend, type Kit, type Serde } from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentTurn } from '../agent-turn.ts';

/**
 * A value of a graph's state as JSON. `plain`: it is JSON as it stands. `typed`: written by the checkpointer's serializer,
 * so that LangChain messages come back as what they were; as text where the serializer wrote JSON, else as base64.
 */
export type Packed =
  | { readonly plain: unknown }
  | { readonly typed: string; readonly text: string }
  | { readonly typed: string; readonly base64: string };

/** Packs and unpacks values of one graph. */
export interface Packer {
  /** @throws CallError `invalid` with the place of a value that would be lost on the way, a function for instance */
  pack(value: unknown, what: string): Promise<Packed>;
  unpack(packed: Packed): Promise<unknown>;
}

/** The same packer, and the time it took: what a hop costs beside the protocol, and nothing where neighbours share a process. */
export function metered(packer: Packer): { readonly packer: Packer; readonly spentMs: () => number } {
  let spentMs = 0;
  const timed = async <T>(work: () => Promise<T>): Promise<T> => {
    const since = performance.now();
    try {
      return await work();
    } finally {
      spentMs += performance.now() - since;
    }
  };
  return {
    packer: { pack: (value, what) => timed(() => packer.pack(value, what)), unpack: (packed) => timed(() => packer.unpack(packed)) },
    spentMs: () => spentMs,
  };
}

/** Writes that time on the span of the present turn. */
export function tellPacking({ scope }: AgentTurn, spentMs: number): void {
  const { context } = scope.trace;
  if (context !== undefined && spentMs > 0) trace.getSpan(context)?.setAttribute(attr.packMs, spentMs);
}

/** Marks what the serializer does not bring back by itself. */
const mark = '$dmas-opt';

export function packerOf(graph: CompiledGraph, kit: Kit): Packer {
  const own = typeof graph.checkpointer === 'object' ? graph.checkpointer.serde : undefined;
  const serde: Serde = own ?? new kit.MemorySaver().serde;
  return {
    pack: async (value, what) => {
      if (isPlain(value, 0)) return { plain: value ?? null };
      const [typed, data] = await serde.dumpsTyped(marked(value, what, [], 0));
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      return typed === 'json' ? { typed, text: bytes.toString('utf8') } : { typed, base64: bytes.toString('base64') };
    },
    unpack: async (packed) => {
      if ('plain' in packed) return packed.plain;
      const data = 'text' in packed ? packed.text : new Uint8Array(Buffer.from(packed.base64, 'base64'));
      return unmarked(await serde.loadsTyped(packed.typed, data), kit);
    },
  };
}

/** Deeper than any state people write; beyond it a value is taken for cyclic. */
const deepest = 512;

/** JSON that needs no serializer: no class, nothing lost, nothing that looks like a mark of the serializer or of ours. */
function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth > deepest) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || 'lc' in value || mark in value || 'toJSON' in value) return false;
  return Object.values(value).every((member) => isPlain(member, depth + 1));
}

type Step = string | number;

/** A copy in which everything the serializer would lose stands as a marked object. Objects it knows itself stay as they are. */
function marked(value: unknown, what: string, path: readonly Step[], depth: number): unknown {
  if (depth > deepest) throw lost(what, path, 'a value nested too deeply, or in a circle');
  const inside = (member: unknown, step: Step) => marked(member, what, [...path, step], depth + 1);
  switch (typeof value) {
    case 'function':
    case 'symbol':
      throw lost(what, path, `a ${typeof value}`);
    case 'undefined':
      return { [mark]: 'undefined' };
    case 'bigint':
      return { [mark]: 'bigint', text: String(value) };
    case 'number':
      return Number.isFinite(value) ? value : { [mark]: 'number', text: String(value) };
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(inside);
  if (value instanceof Date) return { [mark]: 'date', ms: value.getTime() };
  if (isCommand(value)) {
    const { graph, update, resume, goto } = value;
    return {
      [mark]: 'command',
      graph: inside(graph, 'graph'),
      update: inside(update, 'update'),
      resume: inside(resume, 'resume'),
      goto: inside(goto, 'goto'),
    };
  }
  if (isSend(value))
    return { [mark]: 'send', node: value.node, args: inside(value.args, 'args'), timeout: inside(value.timeout, 'timeout') };
  if (value instanceof Map) return { [mark]: 'map', entries: [...value].map((entry, index) => inside(entry, index)) };
  if (value instanceof Set) return { [mark]: 'set', items: [...value].map((item, index) => inside(item, index)) };
  const prototype = Object.getPrototypeOf(value);
  // An object of a class is the serializer's business: messages come back, others as the plain object a checkpoint has.
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inside(member, key)]));
}

function unmarked(value: unknown, kit: Kit): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => unmarked(item, kit));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const kind = mark in value ? value[mark] : undefined;
  const members: { [key: string]: unknown } = {};
  for (const [key, member] of Object.entries(value)) if (key !== mark) members[key] = unmarked(member, kit);
  switch (kind) {
    case 'undefined':
      return undefined;
    case 'bigint':
      return BigInt(String(members.text));
    case 'number':
      return Number(members.text);
    case 'date':
      return new Date(Number(members.ms));
    case 'map':
      return new Map(members.entries as [unknown, unknown][]);
    case 'set':
      return new Set(members.items as unknown[]);
    case 'command':
      return new kit.Command(members);
    case 'send':
      return new kit.Send(String(members.node), members.args, members.timeout === undefined ? undefined : { timeout: members.timeout });
    default:
      return members;
  }
}

const lost = (what: string, path: readonly Step[], found: string) =>
  new CallError({
    code: 'invalid',
    message: `the ${what} holds ${found}${path.length === 0 ? '' : ` at ${path.join('.')}`}, which cannot go to another process; keep such values out of the graph's state`,
  });

/** What leaves the application: JSON, messages in the form LangGraph's own server gives them. */
export function toJson(value: unknown, depth = 0): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || depth > deepest) return undefined;
  const inside = (member: unknown) => toJson(member, depth + 1);
  if (Array.isArray(value)) return value.map((item) => inside(item) ?? null);
  if (value instanceof Map) return inside(Object.fromEntries(value));
  if (value instanceof Set) return inside([...value]);
  if ('toDict' in value && typeof value.toDict === 'function') {
    const { type, data } = value.toDict() as { type: string; data: object };
    return { type, ...(inside(data) as object) };
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') return inside(value.toJSON());
  // The loop's own keys of a config, which debugging streams show, hold its live objects.
  const members = Object.entries(value).map(([key, member]) => [key, key.startsWith('__pregel_') ? undefined : inside(member)] as const);
  return Object.fromEntries(members.filter(([, member]) => member !== undefined));
}
