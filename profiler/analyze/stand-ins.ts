import { createHash } from 'node:crypto';
import type { Plan } from '../../compiler/contracts/plan.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';
import { canonicalSpans } from './foreign/canonical.ts';

/** The components of a plan that are not ours, as their spans can be told. */
export interface ForeignComponents {
  /** Unit → the component it is. */
  readonly units: ReadonlyMap<string, string>;
  /** Components nobody deploys. */
  readonly external: ReadonlySet<string>;
  /** All components, ours too: what else a foreign one calls is its own affair. */
  readonly components: ReadonlySet<string>;
  /** Name sent on the wire → logical model. */
  readonly models: ReadonlyMap<string, string>;
}

export function foreignComponents(plan: Plan): ForeignComponents {
  const foreign = plan.units.filter((unit) => unit.program !== undefined);
  const routes = plan.units.flatMap((unit) => unit.routes);
  const external = routes.filter(({ address }) => /^https?:/.test(address)).map(({ to }) => to);
  return {
    units: new Map(foreign.map((unit) => [unit.id, [...unit.agents, ...unit.toolServers][0] ?? unit.id])),
    external: new Set(external),
    components: new Set([...plan.units.flatMap(({ agents, toolServers }) => [...agents, ...toolServers]), ...external]),
    models: new Map(foreign.flatMap((unit) => Object.entries(unit.models).map(([logical, { model }]) => [model, logical] as const))),
  };
}

/**
 * Spans of one block with those of foreign components in our own form: what they exported themselves where they did, in
 * any convention, else a stand-in made of their caller's span, which is all that is known then. Every request that went
 * through them is then one tree like any other. A trace whose spans came in part stays broken. Nothing of what was said to
 * a model is in the result. Comes back as it is where nothing is foreign.
 */
export function withForeign(spans: readonly SpanRecord[], foreign: ForeignComponents): readonly SpanRecord[] {
  if (foreign.units.size === 0 && foreign.external.size === 0) return spans;
  return tracesOf(readForeign(spans, foreign)).flatMap((trace) => new TraceOfOthers(trace, foreign).complete());
}

function tracesOf(spans: readonly SpanRecord[]): SpanRecord[][] {
  const traces = new Map<string, SpanRecord[]>();
  for (const span of spans) {
    const trace = traces.get(span.traceId) ?? [];
    traces.set(span.traceId, trace);
    trace.push(span);
  }
  return [...traces.values()];
}

/** Reads the spans that foreign units sent. Only whole traces can be read; the others just lose their texts. */
function readForeign(spans: readonly SpanRecord[], { units }: ForeignComponents): readonly SpanRecord[] {
  const isForeign = ({ unit }: SpanRecord) => unit !== undefined && units.has(unit);
  const whole: SpanRecord[] = [];
  const out: SpanRecord[] = [];
  for (const trace of tracesOf(spans)) {
    const into = trace.some(isForeign) && isWhole(trace) ? whole : out;
    for (const span of trace) into.push(span);
  }
  const keyOf = (traceId: string, spanId: string | undefined) => `${traceId} ${spanId}`;
  const sent = new Map(whole.map((span) => [keyOf(span.traceId, span.spanId), span]));
  // Not every span of our units has an attribute of ours: a model call has none, nor has one of the user's own code.
  const marked = whole.map((span) =>
    isForeign(span) ? withoutLongTexts(span) : { ...span, attributes: { ...span.attributes, [attr.unit]: span.unit ?? '' } },
  );
  for (const span of canonicalSpans(marked, { componentOf: ({ unit }) => (unit === undefined ? undefined : units.get(unit)) })) {
    const original = sent.get(keyOf(span.traceId, span.spanId));
    if (original === undefined) out.push(span);
    else if (!isForeign(original)) out.push({ ...span, attributes: original.attributes });
    else {
      // A model call right below a hop of ours was made by whom we called, not by us.
      const above = sent.get(keyOf(original.traceId, original.parentSpanId));
      const stays = text(span, attr.operation) === 'chat' && above !== undefined && !isForeign(above);
      out.push(stays ? { ...span, parentSpanId: above.spanId } : span);
    }
  }
  return out.map((span) => (isForeign(span) ? withoutTexts(span) : span));
}

/** Has its ingress span, and every other hangs below it. */
function isWhole(trace: readonly SpanRecord[]): boolean {
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const roots = trace.filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId));
  return new Set(roots.map(({ spanId }) => spanId)).size === 1 && roots[0]?.name === spanName.ingress();
}

/** What may be kept of a foreign span as text: names and kinds. */
const names: ReadonlySet<string> = new Set(Object.values(attr));

const withoutTexts = (span: SpanRecord): SpanRecord => ({
  ...span,
  attributes: Object.fromEntries(Object.entries(span.attributes).filter(([name, value]) => typeof value !== 'string' || names.has(name))),
});

/** Longer ones name nothing, and reading all prompts of a block would take longer than the rest of it. */
const maxNameLength = 200;

const withoutLongTexts = (span: SpanRecord): SpanRecord => ({
  ...span,
  attributes: Object.fromEntries(
    Object.entries(span.attributes).filter(([, value]) => typeof value !== 'string' || value.length <= maxNameLength),
  ),
});

type Draft = { -readonly [K in keyof SpanRecord]: SpanRecord[K] };

const isCall = ({ name, kind }: SpanRecord) => name.startsWith('call ') && (kind === 'client' || kind === 'producer');
const isServe = ({ name, kind }: SpanRecord) => name.startsWith('serve ') && (kind === 'server' || kind === 'consumer');
const endOf = ({ startMs, durationMs }: SpanRecord) => startMs + durationMs;
const text = (span: SpanRecord, name: string) => {
  const value = span.attributes[name];
  return typeof value === 'string' ? value : '';
};
/** Names that say something in our form. */
const telling = /^(ingress|human wait)$|^(call|serve|chat|invoke_agent|execute_tool) /;

/** One trace in our form, while what it lacks is added. */
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
    for (const span of [...this.#spans.values()]) this.#name(span);
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

  /** The component whose process sent a span; undefined for ours. */
  #componentOf(span: SpanRecord): string | undefined {
    return span.unit === undefined ? undefined : this.#foreign.units.get(span.unit);
  }

  /** Models and components by the scenario's names. What a foreign component does with others than those is its own work. */
  #name(span: Draft): void {
    const component = this.#componentOf(span);
    if (component === undefined) return;
    const [operation, to] = [text(span, attr.operation), text(span, attr.to)];
    if (operation === 'chat') {
      const model = text(span, attr.requestModel);
      const logical = this.#foreign.models.get(model) ?? model;
      span.name = spanName.chat(logical);
      span.attributes = { ...span.attributes, [attr.requestModel]: logical };
    } else if (isCall(span)) {
      if (!this.#foreign.components.has(to) || to === component) this.#plain(span);
      else span.attributes = { ...span.attributes, [attr.from]: component, [attr.channel]: `${component}->${to}` };
    } else if (operation !== 'execute_tool' && telling.test(span.name)) {
      const parent = this.#spans.get(span.parentSpanId ?? '');
      const answers = parent !== undefined && (isServe(span) ? isCall(parent) : isServe(parent));
      if ((operation === '' && to === '') || !answers) this.#plain(span);
    }
  }

  /** A part of what is around it. */
  #plain(span: Draft): void {
    span.name = `own ${span.name}`;
    span.kind = 'internal';
    span.attributes = {};
  }

  /** The serving side of a hop to a foreign component, with the turn in it: from its own spans, else from the call. */
  #serveOf(call: Draft): void {
    const to = text(call, attr.to);
    const unit = [...this.#foreign.units].find(([, component]) => component === to)?.[0];
    if (unit === undefined && !this.#foreign.external.has(to)) return;
    const oneWay = call.kind === 'producer';
    const hop = Object.fromEntries(hopNames.flatMap((name) => (name in call.attributes ? [[name, call.attributes[name] as string]] : [])));
    const children = this.#children.get(call.spanId) ?? [];
    const [only] = children;
    if (only !== undefined && children.length === 1 && isServe(only) && (this.#componentOf(only) === to || text(only, attr.to) === to)) {
      only.name = spanName.serve(to);
      only.kind = oneWay ? 'consumer' : 'server';
      only.attributes = { ...only.attributes, ...hop };
      return;
    }
    // Nothing is known of an attempt that failed, and it may never have arrived.
    if (!call.ok && children.length === 0) return;
    const told = children.filter((child) => this.#componentOf(child) === to);
    const standsIn = told.length === 0 ? { [attr.standIn]: true } : {};
    const held = call.attributes[attr.queueMs];
    const heldBackMs = typeof held === 'number' ? Math.min(held, call.durationMs) : 0;
    const serve = this.#made(call, 'serve', unit ?? `external:${to}`);
    serve.startMs = told.length === 0 ? call.startMs + heldBackMs : Math.min(...told.map(({ startMs }) => startMs));
    serve.durationMs = (told.length === 0 ? endOf(call) : Math.max(...told.map(endOf))) - serve.startMs;
    serve.name = spanName.serve(to);
    serve.kind = oneWay ? 'consumer' : 'server';
    serve.attributes = { ...hop, ...standsIn };
    const turn = this.#made(serve, 'turn', serve.unit);
    turn.name = spanName.agent(to);
    turn.kind = 'internal';
    turn.attributes = { [attr.operation]: 'invoke_agent', [attr.agentName]: to, ...standsIn };
    // Several spans of one turn were each taken for one.
    for (const child of told.filter(isServe)) {
      for (const inner of this.#children.get(child.spanId) ?? []) if (inner.name.startsWith('invoke_agent ')) this.#plain(inner);
      this.#plain(child);
    }
    // Whatever hung below the hop was done by the turn.
    this.#children.set(call.spanId, []);
    this.#add(serve);
    this.#add(turn);
    for (const child of children) {
      child.parentSpanId = turn.spanId;
      this.#adopt(child);
    }
  }

  /** A call a foreign component made: its own client span, else a stand-in around what the callee saw. */
  #callOf(serve: Draft): void {
    const parent = serve.parentSpanId === undefined ? undefined : this.#spans.get(serve.parentSpanId);
    if (parent?.unit === undefined) return;
    const external = parent.unit.startsWith('external:') ? parent.unit.slice('external:'.length) : undefined;
    const from = this.#foreign.units.get(parent.unit) ?? external;
    if (from === undefined) return;
    // Of one client's span with several answers, each but the first has a call of its own.
    const apart = this.#spans.get(`${parent.spanId}${serve.spanId}`);
    const call = apart ?? (isCall(parent) ? parent : this.#made(serve, 'call', parent.unit));
    if (call !== parent) {
      const siblings = this.#children.get(parent.spanId) ?? [];
      this.#children.set(
        parent.spanId,
        siblings.filter((child) => child !== serve),
      );
      if (apart === undefined) {
        call.parentSpanId = parent.spanId;
        this.#add(call);
      }
      serve.parentSpanId = call.spanId;
      this.#adopt(serve);
    }
    const to = text(serve, attr.to);
    call.name = spanName.call(to);
    call.kind = serve.kind === 'consumer' ? 'producer' : 'client';
    serve.attributes = { ...serve.attributes, [attr.from]: from, [attr.channel]: `${from}->${to}` };
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
