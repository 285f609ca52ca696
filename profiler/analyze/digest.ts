import { fail } from '../../compiler/contracts/errors.ts';
import type { StageContext } from '../../compiler/contracts/events.ts';
import {
  type ForeignTraceQuality,
  type PartialCause,
  partialCauses,
  type TraceDigest,
  type TraceSource,
} from '../../compiler/contracts/trace-digest.ts';
import { readTraceInputs, type TraceInput } from '../collect/foreign/read.ts';
import { defaultFileLimits } from '../collect/foreign/read-file.ts';
import { createComponents } from './foreign/components.ts';
import { createEdges } from './foreign/edges.ts';
import { joinLinked } from './foreign/links.ts';
import { createModelUse } from './foreign/model-use.ts';
import { createOutsidePlaces } from './foreign/outside.ts';
import { selfMsOf } from './foreign/own-time.ts';
import { createRequests } from './foreign/requests.ts';
import { createSample } from './foreign/sample.ts';
import { createStore, type StoredTrace } from './foreign/store.ts';
import { buildForeignTree, repairClocks } from './foreign/tree.ts';
import { findVisits } from './foreign/visits.ts';

export type { TraceInput } from '../collect/foreign/read.ts';

export interface DigestOptions {
  /** Traces kept whole for what replays single requests. */
  readonly sampleTraces?: number;
  readonly sampleSpans?: number;
  /** Spans beyond are refused and counted; one costs about 400 bytes of memory. */
  readonly maxSpans?: number;
  /** Of one compressed file. */
  readonly maxInflatedBytes?: number;
}

const defaults = { sampleTraces: 256, sampleSpans: 50_000, maxSpans: 4_000_000, ...defaultFileLimits };

/**
 * Reads telemetry of any application and says what is in it (see `TraceDigest`).
 * @throws DmasError DMAS_TRACES_EMPTY when no span could be read
 */
export async function digestTraces(
  inputs: readonly TraceInput[],
  options: DigestOptions,
  context: Pick<StageContext, 'signal' | 'seed'>,
): Promise<TraceDigest> {
  const { sampleTraces, sampleSpans, maxSpans, maxInflatedBytes } = { ...defaults, ...options };
  const conventions = new Map<string, number>();
  const store = createStore(maxSpans, (id) => conventions.set(id, (conventions.get(id) ?? 0) + 1));
  const outside = createOutsidePlaces();
  let impossibleTimes = 0;
  const sources = await readTraceInputs(
    inputs,
    (span) => {
      if (span.reversed) impossibleTimes++;
      outside.add(span);
      return store.add(span);
    },
    { maxInflatedBytes },
    context.signal,
  );
  if (store.spans === 0) nothingRead(sources);

  joinLinked(store.traces);
  const seed = context.seed;
  const components = createComponents(seed);
  const edges = createEdges(seed);
  const requests = createRequests(seed);
  const models = createModelUse(seed);
  const sample = createSample(seed, sampleTraces, sampleSpans);
  const partial = Object.fromEntries(partialCauses.map((cause) => [cause, 0])) as Record<PartialCause, number>;
  const clockSkew = { found: 0, repaired: 0, maxMs: 0 };
  let [complete, orphanSpans, duplicateSpanIds, frames] = [0, 0, 0, 0];
  let [startMs, endMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

  // In order of time, as later model calls repeat what earlier ones said.
  const traces = inOrder(store.traces);
  const count = traces.length;
  store.traces.clear();
  for (let trace = traces.pop(); trace; trace = traces.pop()) {
    const tree = buildForeignTree(trace);
    if (!tree) continue;
    orphanSpans += tree.orphans;
    duplicateSpanIds += tree.duplicates;
    for (const span of trace.spans) {
      startMs = Math.min(startMs, span.startMs);
      endMs = Math.max(endMs, span.startMs + span.durationMs);
    }
    if (tree.partial) partial[tree.partial]++;
    else complete++;
    repairClocks(tree, clockSkew);
    const visits = findVisits(tree);
    const turns = new Set(visits.map((visit) => visit.node));
    for (const node of tree.nodes) if (!node.hop && !turns.has(node)) frames++;
    const whole = tree.partial === null;
    for (const visit of visits) {
      if (visit.kind === 'entry') continue;
      components.add(visit, selfMsOf(visit));
      edges.add(visit, whole);
      if (visit.kind === 'model') models.add(visit, trace.traceId, whole);
    }
    if (tree.partial) continue;
    requests.add(tree, visits);
    sample.add(tree, visits);
  }

  const found = components.result();
  const quality: ForeignTraceQuality = {
    spans: store.spans,
    traces: count,
    complete,
    unbrokenShare: count === 0 ? 0 : complete / count,
    partial,
    orphanSpans,
    duplicateSpanIds,
    impossibleTimes,
    clockSkew,
    darkComponents: components.dark().sort(),
    withoutCpu: found
      .filter(({ kind, cpuMsPerCall }) => cpuMsPerCall === null && (kind === 'agent' || kind === 'tool' || kind === 'service'))
      .map(({ name }) => name),
    conventions: Object.fromEntries([...conventions].sort(([a], [b]) => (a < b ? -1 : 1))),
    frameShare: frames / store.spans,
  };
  return {
    schemaVersion: 1,
    sources,
    window: { startMs, endMs, seconds: (endMs - startMs) / 1000 },
    quality,
    components: found,
    edges: edges.result(requests.requests, components.nameOf),
    roots: requests.roots(components.nameOf),
    criticalPath: requests.criticalPath(components.nameOf),
    modelUse: models.result(requests.requests, components.nameOf),
    sample: sample.result(components.nameOf),
    outside: outside.result(),
  };
}

/** Last first, to be taken from the end and let go. */
function inOrder(traces: ReadonlyMap<string, StoredTrace>): StoredTrace[] {
  const starts = new Map<StoredTrace, number>();
  for (const trace of traces.values()) {
    let first = Number.POSITIVE_INFINITY;
    for (const span of trace.spans) first = Math.min(first, span.startMs);
    starts.set(trace, first);
  }
  return [...traces.values()].sort((a, b) => (starts.get(b) ?? 0) - (starts.get(a) ?? 0));
}

function nothingRead(sources: readonly TraceSource[]): never {
  const each = sources.map(
    ({ name, reasons: [first] }) =>
      `${name}: ${first ? `${first.reason}${first.firstAt === name ? '' : ` (${first.firstAt})`}` : 'no spans in it'}`,
  );
  return fail('DMAS_TRACES_EMPTY', `no span could be read\n${each.join('\n') || 'no input was given'}`, {
    fix: 'give files of OTLP (JSON, one request on a line or not, or protobuf) or Jaeger JSON, or listen while the application runs',
    ...(sources[0]?.kind === 'file' ? { at: { file: sources[0].name } } : {}),
  });
}
