import * as messages from '@langchain/core/messages';
import * as testing from '@langchain/core/utils/testing';
import * as lib from '@langchain/langgraph';
import { SpanKind } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import type { SpanRecord, Workflow } from '../../../compiler/contracts/index.ts';
import { declaredEdges } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import type { CompiledGraph } from '../../../compiler/frontends/langgraph/fields.ts';
import { graphSteps } from '../../../profiler/analyze/graph-steps.ts';
import { skeletonOf } from '../../../profiler/analyze/skeleton.ts';
import { buildTraces } from '../../../profiler/analyze/tree.ts';
import { entryVisits } from '../../../profiler/analyze/visits.ts';
import * as graphs from '../../contract/langgraph-graphs.ts';
import { deployGraph, type GraphDeployment } from '../../contract/langgraph-layouts.ts';

const version = { lib, messages, testing };
const kinds: { readonly [kind: number]: SpanRecord['kind'] } = {
  [SpanKind.INTERNAL]: 'internal',
  [SpanKind.SERVER]: 'server',
  [SpanKind.CLIENT]: 'client',
};
const ms = ([seconds, nanos]: readonly [number, number]) => seconds * 1000 + nanos / 1e6;

async function tracesOf(make: () => unknown, layout: GraphDeployment['layout']) {
  const app = await deployGraph({ make, kit: lib, layout });
  try {
    expect((await app.ask({ topic: 'x' })).status).toBe(200);
    const records = app.spans.getFinishedSpans().map((span): SpanRecord => {
      const parent = span.parentSpanContext?.spanId;
      return {
        traceId: span.spanContext().traceId,
        spanId: span.spanContext().spanId,
        ...(parent === undefined ? {} : { parentSpanId: parent }),
        name: span.name,
        kind: kinds[span.kind] ?? 'internal',
        startMs: ms(span.startTime),
        durationMs: ms(span.duration),
        ok: true,
        attributes: span.attributes as SpanRecord['attributes'],
      };
    });
    const { requests } = buildTraces(records);
    const edges = declaredEdges(make() as CompiledGraph);
    return { requests, workflow: { hubs: [{ agent: app.hub, edges, open: [], state: [], segments: [] }] } as unknown as Workflow };
  } finally {
    await app.close();
  }
}

const zero = () => ({ selfMs: 0, cpuMs: 0 });
const callsOf = (requests: Awaited<ReturnType<typeof tracesOf>>['requests']) =>
  requests.map((request) => {
    const root = skeletonOf(request, entryVisits(request), 'app', zero)?.root;
    const called = root?.phases.flatMap(({ calls }) => calls.map((call) => (call.kind === 'component' ? call.visit : undefined)));
    // A node calls nobody: what ran inside it was the hub's.
    expect(called?.flatMap((visit) => visit?.phases.flatMap((phase) => phase.calls))).toEqual([]);
    return called?.map((visit) => visit?.component);
  });

describe('traces of a graph', () => {
  it('say the same of a segment as of node by node', async () => {
    const make = () => graphs.chain(version, []);
    const [apart, together] = [await tracesOf(make, 'a unit per node'), await tracesOf(make, 'all nodes in one other unit')];
    expect(callsOf(apart.requests)[0]?.length).toBeGreaterThan(5);
    expect(callsOf(together.requests)).toEqual(callsOf(apart.requests));
    expect(graphSteps(together.requests, together.workflow)).toEqual(graphSteps(apart.requests, apart.workflow));
  });

  it('show where a run went, declared or not', async () => {
    const { requests, workflow } = await tracesOf(() => graphs.chain(version, []), 'a unit per node');
    expect(graphSteps(requests, workflow).map(({ from, to, declared, perRequest }) => [from, to, declared, perRequest])).toEqual([
      ['one', 'two', true, 3],
      // A branch that does not say where it may go.
      ['two', 'one', false, 2],
      ['two', 'three', false, 1],
    ]);
    const sent = await tracesOf(() => graphs.commands(version), 'one unit');
    const steps = graphSteps(sent.requests, sent.workflow).map(({ from, to, declared, perRequest }) => [from, to, declared, perRequest]);
    expect(steps).toEqual([
      ['plan', 'work', true, 2],
      ['work', 'judge', true, 2],
      ['judge', 'plan', true, 1],
    ]);
  });
});
