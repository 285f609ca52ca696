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

const isOwn = (span: SpanRecord): boolean =>
  [attr.requestId, attr.from, attr.to, attr.activeMs, attr.outcome].some((name) => name in span.attributes);

/** One trace in our form. Its ids are those of the spans, with a letter behind for what had no span. */
export function canonicalTrace(
  tree: ForeignTree,
  visits: readonly ForeignVisit[],
  { keepOwn = false, nameOf = (visit: ForeignVisit) => visit.name, requestClass = '' },
): SpanRecord[] {
  const out: SpanRecord[] = [];
  /** The span that the calls of a visit hang below. */
  const turns = new Map<ForeignVisit, string>();
  const own = new Set<ForeignNode>();
  if (keepOwn)
    for (const node of tree.nodes) {
      const { original } = node.span;
      if (!original || !isOwn(original)) continue;
      own.add(node);
      out.push(original);
    }
  const emit = (
    id: string,
    parent: string | undefined,
    from: ForeignNode,
    rest: Pick<SpanRecord, 'name' | 'kind' | 'ok' | 'attributes'>,
  ) => {
    const { service, instance } = identityOf(from.span.resource);
    out.push({
      traceId: tree.traceId,
      spanId: id,
      ...(parent === undefined ? {} : { parentSpanId: parent }),
      startMs: from.startMs,
      durationMs: from.endMs - from.startMs,
      unit: from.span.original?.unit ?? (service === instance ? service : `${service}/${instance}`),
      replica: from.span.original?.replica ?? 0,
      ...rest,
    });
  };
  for (const visit of visits) {
    const { node, hop, kind } = visit;
    if (own.has(node)) {
      turns.set(visit, node.span.spanId);
      continue;
    }
    const name = nameOf(visit);
    const id = node.span.spanId;
    let parent = visit.caller ? turns.get(visit.caller) : undefined;
    // A foreign span below one of ours that opens no turn: what it was called from is still its parent.
    if (node.parent && own.has(node.parent)) parent = node.parent.span.spanId;
    if (visit.caller === null) {
      if (keepOwn && node.span.parentSpanId !== undefined) parent ??= node.span.parentSpanId;
      else if (kind !== 'entry') {
        const attributes = { [attr.requestClass]: requestClass || 'default', [attr.outcome]: visit.ok ? 'ok' : 'remote' };
        emit(`${id}i`, undefined, node, { name: spanName.ingress(), kind: 'server', ok: visit.ok, attributes });
        parent = `${id}i`;
      }
    }
    if (kind === 'entry') {
      const attributes = { [attr.requestClass]: requestClass || 'default', [attr.outcome]: visit.ok ? 'ok' : 'remote' };
      emit(id, parent, node, { name: spanName.ingress(), kind: 'server', ok: visit.ok, attributes });
      turns.set(visit, id);
      continue;
    }
    if (kind === 'model') {
      emit(id, parent, node, { name: spanName.chat(name), kind: 'client', ok: visit.ok, attributes: modelAttributes(visit, name) });
      turns.set(visit, id);
      continue;
    }
    const from = visit.caller ? nameOf(visit.caller) : 'ingress';
    const remote = crossesProcesses(visit);
    const answered = own.has(hop?.node ?? node) ? hop?.node.span.spanId : undefined;
    const callId = answered ?? (hop ? `${hop.node.span.spanId}${hop.visits.length > 1 ? id : ''}` : `${id}c`);
    const attributes = callAttributes(visit, from, name, remote);
    const oneWay = visit.hop?.node.span.label.oneWay === true || node.span.label.oneWay || node.span.follows;
    // Below a call of ours, and on a server's span that says which call of ours it answers, there is a call already.
    const called = answered !== undefined || (node.parent !== null && own.has(node.parent) && isCallOfOurs(node.parent));
    if (!called)
      emit(callId, parent, hop?.node ?? node, {
        name: spanName.call(name),
        kind: oneWay ? 'producer' : 'client',
        ok: visit.ok,
        attributes,
      });
    if (visit.silent) continue;
    const above = called ? (answered ?? parent) : callId;
    const serves = remote || called;
    if (serves)
      emit(`${id}s`, above, node, { name: spanName.serve(name), kind: oneWay ? 'consumer' : 'server', ok: node.span.ok, attributes });
    emit(id, serves ? `${id}s` : above, node, {
      name: kind === 'tool' ? spanName.tool(name) : spanName.agent(name),
      kind: 'internal',
      ok: node.span.ok,
      attributes: turnAttributes(visit, name),
    });
    turns.set(visit, id);
  }
  return out;
}

/** Whether a call left its process, as far as its spans tell. */
export function crossesProcesses({ hop, caller, at }: ForeignVisit): boolean {
  if (hop) return hop.node.span.label.protocol !== 'inproc';
  return caller !== null && identityOf(caller.at.span.resource).instance !== identityOf(at.span.resource).instance;
}

const isCallOfOurs = ({ span }: ForeignNode) => span.label.act === 'call';

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
