import { attr, spanName } from '../../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../../compiler/contracts/traces.ts';
import type { ForeignSpan, ForeignValue } from '../../collect/foreign/span.ts';
import { createReader, type StoredTrace } from './store.ts';
import { buildForeignTree, type ForeignNode, type ForeignTree, identityOf } from './tree.ts';
import { type ForeignVisit, findVisits } from './visits.ts';

export interface CanonicalOptions {
  /**
   * The component that a foreign span's process is, where its attributes do not name an agent: e.g. by the unit its exporter
   * was told in `OTEL_RESOURCE_ATTRIBUTES`. Undefined leaves it to the span's own attributes.
   */
  readonly componentOf?: (span: SpanRecord) => string | undefined;
}

/**
 * Spans of foreign processes in the form of our own (`trace-attributes.ts`), so that what reads our traces reads them: a
 * server's span becomes `serve` with the turn in it, GenAI spans of any convention become turns and model calls, clients
 * without a traced server become calls. Spans of ours come back as they are. Several traces may be given at once; each must
 * be whole to be read right. No content of prompts is in the result.
 */
export function canonicalSpans(spans: readonly SpanRecord[], options: CanonicalOptions = {}): SpanRecord[] {
  const { componentOf } = options;
  const read = createReader();
  const traces = new Map<string, StoredTrace>();
  for (const span of spans) {
    const trace = traces.get(span.traceId) ?? { traceId: span.traceId, spans: [] };
    traces.set(span.traceId, trace);
    trace.spans.push(read(foreignOf(span), span));
  }
  const named = componentOf && ((node: ForeignNode) => (node.span.original ? componentOf(node.span.original) : undefined));
  return [...traces.values()].flatMap((trace) => {
    const tree = buildForeignTree(trace);
    if (!tree) return [];
    const lost = trace.spans.length > tree.nodes.length ? unreached(trace, tree) : [];
    return [...canonicalTrace(tree, findVisits(tree, named), { keepOwn: true }), ...lost];
  });
}

/** Spans of ours that hang below no root; the foreign ones among them say nothing. */
function unreached(trace: StoredTrace, tree: ForeignTree): SpanRecord[] {
  const reached = new Set(tree.nodes.map((node) => node.span));
  return trace.spans.flatMap(({ original }, i) => {
    const span = trace.spans[i];
    return original && span && !reached.has(span) && isOwn(original) ? [original] : [];
  });
}

function foreignOf(span: SpanRecord): ForeignSpan {
  const resource = new Map<string, ForeignValue>();
  if (span.unit !== undefined) resource.set(attr.unit, span.unit);
  if (span.replica !== undefined) resource.set(attr.replica, span.replica);
  const service = span.attributes[attr.serviceName];
  if (service !== undefined) resource.set(attr.serviceName, service);
  return {
    ...span,
    parentSpanId: span.parentSpanId,
    reversed: false,
    resource: { attributes: resource },
    scope: '',
    attributes: new Map(Object.entries(span.attributes)),
    link: undefined,
    follows: false,
  };
}

/** Every span of ours has an attribute that nobody else writes. */
const isOwn = (span: SpanRecord): boolean => Object.keys(span.attributes).some((name) => name.startsWith('dmas.'));

/** One trace in our form. Its ids are those of the spans, with a letter behind for what had no span. */
export function canonicalTrace(
  tree: ForeignTree,
  visits: readonly ForeignVisit[],
  { keepOwn = false, nameOf = (visit: ForeignVisit) => visit.name, requestClass = '' },
): SpanRecord[] {
  const out: SpanRecord[] = [];
  const write = (id: string, parent: string | undefined, { span, startMs, endMs }: ForeignNode, rest: Described) => {
    const { service, instance } = identityOf(span.resource);
    out.push({
      traceId: tree.traceId,
      spanId: id,
      ...(parent === undefined ? {} : { parentSpanId: parent }),
      startMs,
      durationMs: endMs - startMs,
      unit: span.original?.unit ?? (service === instance ? service : `${service}/${instance}`),
      replica: span.original?.replica ?? 0,
      ...rest,
    });
  };
  /** The span that the calls of a visit hang below, where frames are left out. */
  const turns = new Map<ForeignVisit, string>();
  const kept = keepOwn ? keptNodes(tree, visits) : null;
  const parentOf = (node: ForeignNode, caller: ForeignVisit | null): string | undefined => {
    if (!kept) return caller ? turns.get(caller) : undefined;
    for (let above = node.parent; above; above = above.parent) if (kept.has(above)) return above.span.spanId;
    return node.span.parentSpanId;
  };
  const tops = new Set(visits.flatMap(({ node, hop }) => (hop ? [node, hop.node] : [node])));
  for (const node of kept ?? []) {
    const { original } = node.span;
    if (!original || (tops.has(node) && !isOwn(original))) continue;
    const { parentSpanId: _, ...rest } = isOwn(original) ? original : withoutContent(original);
    const parent = parentOf(node, null);
    out.push(parent === undefined ? rest : { ...rest, parentSpanId: parent });
  }
  for (const visit of visits) {
    const { node, hop, kind } = visit;
    const id = node.span.spanId;
    const name = nameOf(visit);
    const ownNode = keepOwn && node.span.original !== undefined && isOwn(node.span.original);
    const ownHop = keepOwn && hop?.node.span.original !== undefined && isOwn(hop.node.span.original);
    turns.set(visit, id);
    const side = hop?.node ?? node;
    let parent = parentOf(side, visit.caller);
    if (ownNode && (ownHop || !hop)) continue;
    if (visit.caller === null && parent === undefined) {
      const attributes = { [attr.requestClass]: requestClass || 'default', [attr.outcome]: visit.ok ? 'ok' : 'remote' };
      const ingressId = kind === 'entry' ? id : `${id}i`;
      write(ingressId, undefined, node, { name: spanName.ingress(), kind: 'server', ok: visit.ok, attributes });
      parent = ingressId;
    }
    if (kind === 'entry') continue;
    if (kind === 'model') {
      write(id, parent, node, { name: spanName.chat(name), kind: 'client', ok: visit.ok, attributes: modelAttributes(visit, name) });
      continue;
    }
    const from = visit.caller ? nameOf(visit.caller) : 'ingress';
    const remote = ownHop || crossesProcesses(visit);
    const attributes = callAttributes(visit, from, name, remote);
    const oneWay = side.span.label.oneWay || node.span.label.oneWay || node.span.follows;
    // A hop of ours is written by us alone, however many turns answered it.
    const callId = hop ? `${hop.node.span.spanId}${ownHop || hop.visits[0] === visit ? '' : id}` : `${id}c`;
    if (!ownHop) write(callId, parent, side, { name: spanName.call(name), kind: oneWay ? 'producer' : 'client', ok: visit.ok, attributes });
    if (visit.silent || ownNode) continue;
    if (remote)
      write(`${id}s`, callId, node, { name: spanName.serve(name), kind: oneWay ? 'consumer' : 'server', ok: node.span.ok, attributes });
    write(id, remote ? `${id}s` : callId, node, {
      name: kind === 'tool' ? spanName.tool(name) : spanName.agent(name),
      kind: 'internal',
      ok: node.span.ok,
      attributes: turnAttributes(visit, name),
    });
  }
  return out;
}

type Described = Pick<SpanRecord, 'name' | 'kind' | 'ok' | 'attributes'>;

/**
 * Nodes that stay where frames are kept: not what is only the transport of a call, nor what is inside of a model call, which would
 * hide the call's own time.
 */
function keptNodes(tree: ForeignTree, visits: readonly ForeignVisit[]): Set<ForeignNode> {
  const tops = new Set(visits.map((visit) => visit.node));
  return new Set(
    tree.nodes.filter((node) => {
      const { original } = node.span;
      if (tops.has(node) || (original && isOwn(original))) return true;
      if (node.hop) return node.hop.node === node && node.hop.visits.length > 0;
      return node.inside?.kind !== 'model';
    }),
  );
}

/** Frames say little but their times; a text in them may be somebody's prompt. */
const withoutContent = (span: SpanRecord): SpanRecord => ({
  ...span,
  attributes: Object.fromEntries(Object.entries(span.attributes).filter(([, value]) => typeof value !== 'string')),
});

/** Whether a call left its process, as far as its spans tell. */
export function crossesProcesses({ hop, caller, at }: ForeignVisit): boolean {
  if (hop) return hop.node.span.label.protocol !== 'inproc';
  return caller !== null && identityOf(caller.at.span.resource).instance !== identityOf(at.span.resource).instance;
}

const given = (pairs: readonly (readonly [string, string | number | null | undefined])[]): SpanRecord['attributes'] =>
  Object.fromEntries(pairs.flatMap(([key, value]) => (value === undefined || value === null ? [] : [[key, value]])));

function modelAttributes({ node, facts, caller }: ForeignVisit, name: string): SpanRecord['attributes'] {
  const { provider, errorType } = node.span.label;
  return given([
    [attr.operation, 'chat'],
    [attr.provider, provider],
    [attr.requestModel, name],
    [attr.agentName, caller?.name],
    [attr.tokensIn, facts?.tokensIn],
    [attr.tokensOut, facts?.tokensOut],
    [attr.tokensCached, facts?.tokensCached],
    [attr.timeToFirstChunkS, facts?.firstChunkMs === undefined ? undefined : facts.firstChunkMs / 1000],
    [attr.queueMs, facts?.queueMs],
    [attr.errorType, errorType],
  ]);
}

function callAttributes({ hop, node, silent }: ForeignVisit, from: string, to: string, remote: boolean): SpanRecord['attributes'] {
  const side = hop?.node.span ?? node.span;
  const oneWay = side.label.oneWay || node.span.label.oneWay;
  return given([
    [attr.rpcSystem, remote ? (side.label.protocol ?? node.span.label.protocol ?? 'unknown') : 'inproc'],
    [attr.rpcService, to],
    [attr.rpcMethod, oneWay ? 'send' : 'request'],
    [attr.from, from],
    [attr.to, to],
    [attr.channel, `${from}->${to}`],
    [attr.requestBytes, side.facts?.requestBytes ?? node.span.facts?.requestBytes],
    [attr.responseBytes, side.facts?.responseBytes ?? (silent ? undefined : node.span.facts?.responseBytes)],
    [attr.errorType, side.label.errorType],
  ]);
}

function turnAttributes({ kind, node, cpuMs, facts }: ForeignVisit, name: string): SpanRecord['attributes'] {
  return given([
    [attr.operation, kind === 'tool' ? 'execute_tool' : 'invoke_agent'],
    [kind === 'tool' ? attr.toolName : attr.agentName, name],
    [attr.activeMs, cpuMs],
    [attr.concurrency, cpuMs === null ? undefined : 1],
    [attr.queueMs, facts?.queueMs],
    [attr.errorType, node.span.label.errorType],
  ]);
}
