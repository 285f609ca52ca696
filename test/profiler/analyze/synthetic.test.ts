import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pathKinds, type SkeletonVisit, type SpanRecord } from '../../../compiler/contracts/index.ts';
import { criticalPath, pathTotals } from '../../../profiler/analyze/critical-path.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { buildTraces } from '../../../profiler/analyze/tree.ts';
import { blockOf, configurationOf, tracer, workflowOf } from './fixture.ts';

/** What a request really does: known here, to be found again from its spans. */
interface TrueVisit {
  readonly component: number;
  readonly phases: readonly { readonly selfMs: number; readonly calls: readonly TrueCall[] }[];
}
type TrueCall = { readonly modelMs: number } | TrueVisit;

const components = ['a', 'b', 'c', 'd', 'e'];
/** Cost of one hop to each component, beside what it does: encoding on each side, wire each way, wait for a slot. */
const encodeMs = 0.25;
const wireMs = [0.5, 1, 1.5, 0.75, 2];
const slotMs = [0, 0.5, 0, 3, 1];
const ingressMs = 0.5;
const remote = (from: number, to: number, units: readonly number[]) => units[from] !== units[to];
const hopMs = (from: number, to: number, units: readonly number[]) =>
  (slotMs[to] ?? 0) + (remote(from, to, units) ? 4 * encodeMs + 2 * (wireMs[to] ?? 0) : 0);

// At least half a millisecond, so that intervals that follow each other do not touch.
const selfMs = fc.integer({ min: 1, max: 60 }).map((halves) => halves / 2);
const { visit } = fc.letrec<{ visit: TrueVisit; call: TrueCall }>((tie) => ({
  visit: fc.record({
    component: fc.nat(components.length - 1),
    phases: fc.array(fc.record({ selfMs, calls: fc.array(tie('call'), { minLength: 1, maxLength: 3, depthIdentifier: 'calls' }) }), {
      maxLength: 3,
      depthIdentifier: 'calls',
    }),
  }),
  call: fc.oneof(
    { depthSize: 'small', withCrossShrink: true, depthIdentifier: 'calls' },
    selfMs.map((modelMs) => ({ modelMs })),
    tie('visit'),
  ),
}));
const lastMs = 1.5;

/** Plays a visit from `at` on, writes its spans, and returns when it is over. */
function play(
  add: ReturnType<typeof tracer>['add'],
  parent: SpanRecord | null,
  truth: TrueVisit,
  from: number,
  at: number,
  units: readonly number[],
  sink: SpanRecord[],
): number {
  const name = components[truth.component] ?? '';
  const unit = `u${units[truth.component]}`;
  const caller = from < 0 ? unit : `u${units[from]}`;
  const far = from >= 0 && remote(from, truth.component, units);
  const slot = slotMs[truth.component] ?? 0;
  const wire = far ? (wireMs[truth.component] ?? 0) : 0;
  const encode = far ? encodeMs : 0;
  const serveAt = at + 2 * encode + wire;
  const turnAt = serveAt + slot;
  // Spans are made first and their ends set afterwards, as a tracer does it.
  const fromName = from < 0 ? 'ingress' : (components[from] ?? '');
  const hop = { 'dmas.from': fromName, 'rpc.system': far ? 'http-json' : 'inproc', 'rpc.method': 'request' };
  const call = add(parent, `call ${name}`, 'client', [at, at], caller, { ...hop, 'dmas.serialize_ms': 2 * encode });
  const serve = far ? add(call, `serve ${name}`, 'server', [serveAt, serveAt], unit, { ...hop, 'dmas.serialize_ms': 2 * encode }) : null;
  const turn = add(serve ?? call, `invoke_agent ${name}`, 'internal', [turnAt, turnAt], unit, { 'dmas.queue_ms': slot });
  let now = turnAt;
  for (const phase of truth.phases) {
    now += phase.selfMs;
    const ends = phase.calls.map((each) => {
      if ('modelMs' in each) {
        add(turn, 'chat main', 'client', [now, now + each.modelMs], unit, { 'gen_ai.request.model': 'main' });
        return now + each.modelMs;
      }
      return play(add, turn, each, truth.component, now, units, sink);
    });
    now = Math.max(now, ...ends);
  }
  now += lastMs;
  const end = now + 2 * encode + wire;
  sink.push({ ...turn, durationMs: now - turnAt }, { ...call, durationMs: end - at });
  if (serve) sink.push({ ...serve, durationMs: now - serveAt });
  return end;
}

function spansOf(truth: TrueVisit, units: readonly number[], trace = 't'): SpanRecord[] {
  const { spans, add } = tracer(trace);
  const root = add(null, 'ingress', 'server', [0, 0], `u${units[truth.component]}`, { 'dmas.request.class': 'interactive' });
  const ended: SpanRecord[] = [];
  const end = play(add, root, truth, -1, ingressMs, units, ended) + ingressMs;
  ended.push({ ...root, durationMs: end });
  const byId = new Map(ended.map((span) => [span.spanId, span]));
  return spans.map((span) => byId.get(span.spanId) ?? span).map((span) => ({ ...span, startMs: span.startMs + fractionMs }));
}

/** Starts with a fraction, as a tracer with a fine clock gives them. */
const fractionMs = 0.37;
/** The same spans from a tracer that cuts starts to whole milliseconds. */
const coarse = (spans: readonly SpanRecord[]) => spans.map((span) => ({ ...span, startMs: Math.floor(span.startMs) }));

/** The serial sum over a skeleton with the true hop costs put back in. */
function replay(found: SkeletonVisit, from: number, units: readonly number[]): number {
  const component = components.indexOf(found.component);
  const inside = found.phases.reduce((sum, phase) => {
    const waits = phase.calls.map((call) => (call.kind === 'model' ? call.measuredMs : replay(call.visit, component, units)));
    return sum + phase.selfMs + Math.max(0, ...waits);
  }, 0);
  return inside + (from < 0 ? (slotMs[component] ?? 0) : hopMs(from, component, units));
}

const units = fc.array(fc.nat(3), { minLength: components.length, maxLength: components.length });
const workflow = workflowOf(components, []);
const profileOf = (spans: readonly SpanRecord[]) =>
  buildProfile({
    workflow,
    configuration: configurationOf(
      workflow,
      components.map((name) => [name]),
    ),
    blocks: [{ block: blockOf(1), spans }],
  });

/** Timestamps since 1970 in a double are good to a quarter of a microsecond; a path adds a few hundred of them. */
const toleranceMs = 0.1;

describe('synthetic requests with a known truth', () => {
  it('are found again: own work per phase, calls and model times', () => {
    const shape = (truth: TrueVisit): unknown => ({
      component: components[truth.component],
      phases: [
        ...truth.phases.map((phase) => ({
          selfMs: expect.closeTo(phase.selfMs, 2),
          cpuMs: 0,
          calls: expect.toSatisfy((calls: unknown[]) => calls.length === phase.calls.length),
        })),
        { selfMs: expect.closeTo(lastMs, 2), cpuMs: 0, calls: [] },
      ],
    });
    fc.assert(
      fc.property(visit, units, (truth, placed) => {
        expect(profileOf(spansOf(truth, placed)).skeletons[0]?.root).toEqual(shape(truth));
      }),
    );
  });

  it('replay in series with the true hop costs to the measured latency, in any layout', () => {
    fc.assert(
      fc.property(visit, units, (truth, placed) => {
        const [skeleton] = profileOf(spansOf(truth, placed)).skeletons;
        if (!skeleton) throw new Error('no skeleton');
        expect(Math.abs(replay(skeleton.root, -1, placed) + 2 * ingressMs - skeleton.measuredMs)).toBeLessThan(toleranceMs);
      }),
    );
  });

  it('are the same skeleton whatever layout they were measured in', () => {
    const round = (found: SkeletonVisit | undefined): unknown =>
      JSON.parse(JSON.stringify(found, (_, value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value)));
    fc.assert(
      fc.property(visit, units, units, (truth, one, other) => {
        const roots = [one, other].map((placed) => profileOf(spansOf(truth, placed)).skeletons[0]?.root);
        expect(round(roots[0])).toEqual(round(roots[1]));
      }),
    );
  });

  it('are much the same when starts are cut to whole milliseconds', () => {
    fc.assert(
      fc.property(visit, units, (truth, placed) => {
        const spans = coarse(spansOf(truth, placed));
        const [request] = buildTraces(spans).requests;
        const [skeleton] = profileOf(spans).skeletons;
        if (!request || !skeleton) throw new Error('no request');
        // At most a millisecond or two for each span, where a phase or a call taken for another would cost up to 30.
        const tolerance = 2 * spans.length;
        expect(Math.abs(replay(skeleton.root, -1, placed) + 2 * ingressMs - skeleton.measuredMs)).toBeLessThan(tolerance);
        const [exact] = buildTraces(spansOf(truth, placed)).requests;
        if (!exact) throw new Error('no request');
        const [found, known] = [pathTotals(criticalPath(request.root)), pathTotals(criticalPath(exact.root))];
        expect(Math.abs(found.ingress - known.ingress)).toBeLessThan(2.01);
        expect(Math.abs(found.working + found.model - known.working - known.model)).toBeLessThan(tolerance);
      }),
    );
  });

  it('have a critical path that covers the request once, without gap or overlap', () => {
    fc.assert(
      fc.property(visit, units, (truth, placed) => {
        const [request] = buildTraces(spansOf(truth, placed)).requests;
        if (!request) throw new Error('no request');
        const segments = criticalPath(request.root);
        let cursor = request.root.startMs;
        for (const segment of segments) {
          expect(segment.startMs).toBeCloseTo(cursor, 6);
          expect(segment.endMs).toBeGreaterThanOrEqual(segment.startMs);
          cursor = segment.endMs;
        }
        expect(cursor).toBeCloseTo(request.root.startMs + request.root.span.durationMs, 6);
        const totals = pathTotals(segments);
        const sum = pathKinds.reduce((all, kind) => all + totals[kind], 0);
        expect(sum).toBeCloseTo(request.root.span.durationMs, 6);
        expect(totals.ingress).toBeCloseTo(2 * ingressMs, 2);
      }),
    );
  });

  it('give the true cost of every hop and the sum of shares is 1', () => {
    fc.assert(
      fc.property(visit, units, (truth, placed) => {
        const profile = profileOf(spansOf(truth, placed));
        for (const [key, edge] of Object.entries(profile.edges)) {
          const [from = '', to = ''] = key.split('->');
          const [a, b] = [components.indexOf(from), components.indexOf(to)];
          const far = remote(a, b, placed);
          expect(edge.serializeMs.mean).toBeCloseTo(far ? 4 * encodeMs : 0, 3);
          // The encoding of both sides is on the client's time, the wait for the slot on the server's.
          expect(edge.transportMs.mean).toBeCloseTo(far ? 2 * (wireMs[b] ?? 0) : 0, 2);
        }
        expect(Object.values(profile.criticalPath).reduce((x, y) => x + y, 0)).toBeCloseTo(1, 9);
        expect(profile.traces.unbrokenShare).toBe(1);
      }),
    );
  });

  it('are sampled evenly, at most 256 of a class', () => {
    const truth: TrueVisit = { component: 0, phases: [] };
    const spans = Array.from({ length: 600 }, (_, i) =>
      spansOf(truth, [0, 0, 0, 0, 0], `t${i}`).map((span) => ({ ...span, startMs: span.startMs + i, durationMs: span.durationMs + i })),
    ).flat();
    const { skeletons, traces } = profileOf(spans);
    expect(traces.requests).toBe(600);
    expect(skeletons.length).toBe(256);
    const order = skeletons.map((skeleton) => skeleton.measuredMs);
    for (let i = 1; i < order.length; i++) {
      const step = (order[i] ?? 0) - (order[i - 1] ?? 0);
      expect(step).toBeGreaterThan(1.9);
      expect(step).toBeLessThan(3.1);
    }
  });
});
