import type { StoredTrace } from './store.ts';

/**
 * A consumer may begin a trace of its own and link to the message's producer (as OpenTelemetry's messaging conventions have it).
 * Such a trace goes on where the producer's left: its root becomes a child of the span it is linked to.
 */
export function joinLinked(traces: Map<string, StoredTrace>): void {
  const joined = new Map<string, string>();
  const target = (traceId: string): string => {
    let id = traceId;
    for (let next = joined.get(id); next !== undefined && next !== traceId; next = joined.get(id)) id = next;
    return id;
  };
  for (const trace of [...traces.values()]) {
    let roots = 0;
    let linked = -1;
    trace.spans.forEach((span, i) => {
      if (span.parentSpanId !== undefined) return;
      roots++;
      if (span.link && span.label.oneWay) linked = i;
    });
    const span = trace.spans[linked];
    if (!span?.link) continue;
    const into = traces.get(target(span.link.traceId));
    if (!into) continue;
    const { spanId } = span.link;
    trace.spans[linked] = { ...span, parentSpanId: spanId };
    if (into === trace || roots !== 1) continue;
    for (const each of trace.spans) into.spans.push(each);
    traces.delete(trace.traceId);
    joined.set(trace.traceId, into.traceId);
  }
}
