import { setTimeout as sleep } from 'node:timers/promises';
import { attr, type SpanRecord } from '../../compiler/contracts/index.ts';
import type { Application } from './deploy.ts';

/** What the traces say of the requests of one deployment. */
export interface TraceFacts {
  /** Everything that makes a trace broken: no root or several, a parent that is not there, a request in two traces. */
  readonly breaks: readonly string[];
  /** Per request: which agents, tools and models worked for it, and how often. The same in every layout. */
  readonly work: { readonly [request: string]: string };
}

const isWork = ({ name }: SpanRecord) => /^(invoke_agent|execute_tool|chat) /.test(name);

export function traceFacts(spans: readonly SpanRecord[]): TraceFacts {
  const breaks: string[] = [];
  const work: Record<string, string> = {};
  const traces = new Map<string, SpanRecord[]>();
  for (const span of spans) traces.set(span.traceId, [...(traces.get(span.traceId) ?? []), span]);
  for (const [traceId, members] of traces) {
    const ids = new Set(members.map((span) => span.spanId));
    const roots = members.filter((span) => span.parentSpanId === undefined);
    const request = String(roots[0]?.attributes[attr.requestId] ?? traceId);
    if (roots.length !== 1 || roots[0]?.name !== 'ingress') breaks.push(`${request}: roots ${roots.map((root) => root.name).join(', ')}`);
    for (const { name, parentSpanId } of members)
      if (parentSpanId !== undefined && !ids.has(parentSpanId)) breaks.push(`${request}: the parent of ${name} is missing`);
    if (work[request] !== undefined) breaks.push(`${request}: in two traces`);
    work[request] = members
      .filter(isWork)
      .map((span) => span.name)
      .sort()
      .join(', ');
  }
  return { breaks, work };
}

/** Work may go on after the answer (a topic has other subscribers), so this waits until the traces say what they should. */
export async function settledTraces(
  application: Application,
  settled: (facts: TraceFacts) => boolean,
  patienceMs = 5_000,
): Promise<TraceFacts> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const facts = traceFacts(await application.spans());
    if (settled(facts) || performance.now() > until) return facts;
    await sleep(100);
  }
}
