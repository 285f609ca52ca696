import type { StoredTrace } from './store.ts';

/**
 * A consumer may begin a trace of its own and link to the message's producer (as OpenTelemetry's messaging conventions have it).
 * Such a trace goes on where the producer's left: its root becomes a child of the span it is linked to.
 */
export function joinLinked(traces: Map<string, StoredTrace>): void {
  const next = new Map<string, string>();
  for (const trace of traces.values()) {
    let roots = 0;
    let linked = -1;
    trace.spans.forEach((span, i) => {
      if (span.parentSpanId !== undefined) return;
      roots++;
      if (span.link && span.label.oneWay) linked = i;
    });
    const span = trace.spans[linked];
    if (!span?.link || !traces.has(span.link.traceId)) continue;
    const inside = span.link.traceId === trace.traceId;
    if (!inside && roots !== 1) continue;
    trace.spans[linked] = { ...span, parentSpanId: span.link.spanId };
    if (!inside) next.set(trace.traceId, span.link.traceId);
  }
  const first = firstOf(next);
  for (const [traceId] of next) {
    const target = first(traceId);
    const [from, into] = [traces.get(traceId), traces.get(target)];
    if (!from || !into || from === into) continue;
    for (const span of from.spans) into.spans.push(span);
    traces.delete(traceId);
  }
}

/** The beginning of a chain of traces; of a circle, one of its members for all of them. */
function firstOf(next: ReadonlyMap<string, string>): (traceId: string) => string {
  const known = new Map<string, string>();
  return (traceId) => {
    const way = new Set<string>();
    let at = traceId;
    for (let to = next.get(at); to !== undefined && !known.has(at) && !way.has(at); to = next.get(at)) {
      way.add(at);
      at = to;
    }
    const found = known.get(at) ?? at;
    for (const each of way) known.set(each, found);
    return found;
  };
}
