import { createHash } from 'node:crypto';
import type { Plan } from '../../compiler/contracts/plan.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';

/** The components of a plan that are not ours, as their spans can be told. */
export interface ForeignComponents {
  /** Unit → the component it is. */
  readonly units: ReadonlyMap<string, string>;
  /** Components nobody deploys. */
  readonly external: ReadonlySet<string>;
  /** Name sent on the wire → logical model. */
  readonly models: ReadonlyMap<string, string>;
}

export function foreignComponents(plan: Plan): ForeignComponents {
  const foreign = plan.units.filter((unit) => unit.program !== undefined);
  const routes = plan.units.flatMap((unit) => unit.routes);
  return {
    units: new Map(foreign.map((unit) => [unit.id, [...unit.agents, ...unit.toolServers][0] ?? unit.id])),
    external: new Set(routes.filter(({ address }) => /^https?:/.test(address)).map(({ to }) => to)),
    models: new Map(foreign.flatMap((unit) => Object.entries(unit.models).map(([logical, { model }]) => [model, logical] as const))),
  };
}

/**
 * Spans of one block with those of foreign components in our own form: what they exported themselves where they did, else
 * a stand-in made of their caller's span, which is all that is known then. Every request that went through them is then
 * one tree like any other. Comes back as it is where nothing is foreign.
 */
export function withForeign(spans: readonly SpanRecord[], foreign: ForeignComponents): readonly SpanRecord[] {
  if (foreign.units.size === 0 && foreign.external.size === 0) return spans;
  const traces = new Map<string, SpanRecord[]>();
  for (const span of spans) {
    const trace = traces.get(span.traceId) ?? [];
    traces.set(span.traceId, trace);
    trace.push(span);
  }
  return [...traces.values()].flatMap((trace) => new TraceOfOthers(trace, foreign).complete());
}

type Draft = { -readonly [K in keyof SpanRecord]: SpanRecord[K] };

const isCall = ({ name }: SpanRecord) => name.startsWith('call ');
const isServe = ({ name }: SpanRecord) => name.startsWith('serve ');
const text = (span: SpanRecord, name: string) => {
  const value = span.attributes[name];
  return typeof value === 'string' ? value : '';
};
/** GenAI operations that are one call of a model (OpenTelemetry GenAI conventions). */
const modelOperations: ReadonlySet<string> = new Set(['chat', 'text_completion', 'generate_content']);

/** One trace while it is put into our form. */
class TraceOfOthers {
  readonly #spans = new Map<string, Draft>();
  readonly #children = new Map<string, Draft[]>();
  readonly #foreign: ForeignComponents;

  constructor(spans: readonly SpanRecord[], foreign: ForeignComponents) {
    this.#foreign = foreign;
    for (const span of spans) this.#spans.set(span.spanId, { ...span });
    for (const span of this.#spans.values()) this.#adopt(span);
  }

  complete(): SpanRecord[] {
    for (const span of [...this.#spans.values()]) if (this.#componentOf(span) !== undefined) this.#readModelCall(span);
    for (const call of [...this.#spans.values()].filter(isCall)) this.#serveOf(call);
    for (const serve of [...this.#spans.values()].filter(isServe)) this.#callOf(serve);
    return [...this.#spans.values()];
  }

  #adopt(span: Draft): void {
    if (span.parentSpanId === undefined) return;
    const siblings = this.#children.get(span.parentSpanId) ?? [];
    this.#children.set(span.parentSpanId, siblings);
    siblings.push(span);
  }

  /** The component whose process sent a span; undefined for ours and for spans already in our form. */
  #componentOf(span: SpanRecord): string | undefined {
    return span.unit === undefined || isCall(span) || isServe(span) ? undefined : this.#foreign.units.get(span.unit);
  }

  #readModelCall(span: Draft): void {
    if (!modelOperations.has(text(span, attr.operation))) return;
    const model = text(span, attr.requestModel);
    const logical = this.#foreign.models.get(model) ?? model;
    span.name = spanName.chat(logical);
    span.attributes = { ...span.attributes, [attr.operation]: 'chat', [attr.requestModel]: logical };
  }

  /** The serving side of a hop to a foreign component, with the turn in it: from its own spans, else from the call. */
  #serveOf(call: Draft): void {
    const to = text(call, attr.to);
    const unit = [...this.#foreign.units].find(([, component]) => component === to)?.[0];
    if (unit === undefined && !this.#foreign.external.has(to)) return;
    const children = this.#children.get(call.spanId) ?? [];
    if (children.some((child) => isServe(child) && text(child, attr.to) === to)) return;
    const own = children.find((child) => this.#componentOf(child) === to);
    // Nothing is known of an attempt that failed, and it may never have arrived.
    if (own === undefined && !call.ok && children.length === 0) return;
    const oneWay = call.kind === 'producer';
    const hop = Object.fromEntries(hopNames.flatMap((name) => (name in call.attributes ? [[name, call.attributes[name] as string]] : [])));
    const held = call.attributes[attr.queueMs];
    const heldBackMs = typeof held === 'number' ? held : 0;
    const serve: Draft = own ?? {
      ...this.#made(call, 'serve', unit ?? `external:${to}`),
      startMs: call.startMs + Math.min(heldBackMs, call.durationMs),
      durationMs: Math.max(0, call.durationMs - heldBackMs),
    };
    serve.name = spanName.serve(to);
    serve.kind = oneWay ? 'consumer' : 'server';
    serve.attributes = { ...serve.attributes, ...hop, ...(own === undefined ? { [attr.standIn]: true } : {}) };
    const turn = this.#made(serve, 'turn', serve.unit);
    turn.name = spanName.agent(to);
    turn.kind = 'internal';
    turn.attributes = {
      [attr.operation]: 'invoke_agent',
      [attr.agentName]: to,
      ...(own === undefined ? { [attr.standIn]: true } : {}),
    };
    // Whatever hung below the hop was done by the turn.
    const within = [...children.filter((child) => child !== own), ...(own === undefined ? [] : (this.#children.get(own.spanId) ?? []))];
    this.#children.set(call.spanId, own === undefined ? [] : [own]);
    if (own === undefined) this.#add(serve);
    this.#children.set(serve.spanId, []);
    this.#add(turn);
    for (const child of within) {
      child.parentSpanId = turn.spanId;
      this.#adopt(child);
    }
  }

  /** A call a foreign component made: its own client span, else a stand-in around what the callee saw. */
  #callOf(serve: Draft): void {
    const parent = serve.parentSpanId === undefined ? undefined : this.#spans.get(serve.parentSpanId);
    if (parent === undefined || isCall(parent)) return;
    const from =
      parent.unit === undefined
        ? undefined
        : (this.#foreign.units.get(parent.unit) ?? (parent.unit.startsWith('external:') ? parent.unit.slice(9) : undefined));
    if (from === undefined) return;
    const to = text(serve, attr.to);
    const client = parent.kind === 'client' && (this.#children.get(parent.spanId) ?? []).length === 1 && !parent.name.startsWith('chat ');
    const call = client ? parent : this.#made(serve, 'call', parent.unit);
    if (!client) {
      call.parentSpanId = parent.spanId;
      this.#add(call);
      this.#children.set(
        parent.spanId,
        (this.#children.get(parent.spanId) ?? []).filter((child) => child !== serve),
      );
      serve.parentSpanId = call.spanId;
      this.#adopt(serve);
    }
    const channel = `${from}->${to}`;
    call.name = spanName.call(to);
    call.kind = serve.kind === 'consumer' ? 'producer' : 'client';
    serve.attributes = { ...serve.attributes, [attr.from]: from, [attr.channel]: channel };
    const { [attr.serializeMs]: _decoding, ...hop } = serve.attributes;
    call.attributes = { ...call.attributes, ...hop };
  }

  #add(span: Draft): void {
    this.#spans.set(span.spanId, span);
    this.#adopt(span);
  }

  /** A span of ours beside one that is there: the same id each time it is made. */
  #made(of: SpanRecord, what: string, unit: string | undefined): Draft {
    const spanId = createHash('sha256').update(`${of.traceId}${of.spanId}${what}`).digest('hex').slice(0, 16);
    const { replica: _, unit: __, ...rest } = of;
    return { ...rest, spanId, parentSpanId: of.spanId, attributes: {}, ...(unit === undefined ? {} : { unit }) };
  }
}

/** What both sides of a hop say of it. */
const hopNames = [attr.rpcSystem, attr.rpcService, attr.rpcMethod, attr.channel, attr.from, attr.to, attr.attempt, attr.topic] as const;
