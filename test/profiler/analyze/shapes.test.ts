import { describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../compiler/contracts/index.ts';
import { visitCosts } from '../../../profiler/analyze/cpu.ts';
import { criticalPath, pathTotals } from '../../../profiler/analyze/critical-path.ts';
import { separateLoopWaits } from '../../../profiler/analyze/loop-waits.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { buildTraces, type RequestTrace } from '../../../profiler/analyze/tree.ts';
import { entryVisits, visitsIn } from '../../../profiler/analyze/visits.ts';
import { blockOf, configurationOf, tracer, workflowOf } from './fixture.ts';

const only = (spans: readonly SpanRecord[]): RequestTrace => {
  const [request] = buildTraces(spans).requests;
  if (!request) throw new Error('no request');
  return request;
};
const profileOf = (
  spans: readonly SpanRecord[],
  names: string[],
  groups: string[][],
  more: Parameters<typeof blockOf>[2] = {},
  usage = blockOf(1).usage,
) => {
  const workflow = workflowOf(names, []);
  return buildProfile({ workflow, configuration: configurationOf(workflow, groups), blocks: [{ block: blockOf(1, usage, more), spans }] });
};
const busy = (activeMs: number, concurrency: number) => ({ 'dmas.active_ms': activeMs, 'dmas.concurrency': concurrency });

describe('a graph run as a chain', () => {
  // a works 1-5 and forwards to b (5.5-20, remote) and, through it, c (12-18, in b's unit): the forwards hang on the
  // hops, beside the turns.
  const graph = () => {
    const { spans, add } = tracer('g');
    const root = add(null, 'ingress', 'server', [0, 22], 'one');
    const callA = add(root, 'call a', 'client', [0.5, 21], 'one');
    add(callA, 'invoke_agent a', 'internal', [1, 5], 'one', busy(3, 1));
    const callB = add(callA, 'call b', 'client', [5.5, 20.5], 'one', {
      'dmas.from': 'a',
      'rpc.system': 'http-json',
      'dmas.serialize_ms': 0.25,
    });
    const serveB = add(callB, 'serve b', 'server', [6, 20], 'two', { 'dmas.serialize_ms': 0.25 });
    add(serveB, 'invoke_agent b', 'internal', [7, 11], 'two', busy(4, 1));
    const callC = add(serveB, 'call c', 'client', [12, 19], 'two', { 'dmas.from': 'b', 'rpc.system': 'inproc' });
    add(callC, 'invoke_agent c', 'internal', [12, 18.5], 'two', busy(2, 1));
    return spans;
  };

  it('gives each node its own visit and the forward its own phase', () => {
    const profile = profileOf(graph(), ['a', 'b', 'c'], [['a'], ['b', 'c']]);
    expect(Object.entries(profile.components).map(([name, { heldMs, cpuMs }]) => [name, heldMs.mean, cpuMs.mean])).toEqual([
      ['a', 4, 3],
      ['b', 4, 4],
      ['c', 6.5, 2],
    ]);
    expect(profile.skeletons[0]?.root).toMatchObject({
      component: 'a',
      phases: [
        {
          selfMs: 4.5,
          calls: [
            { visit: { component: 'b', phases: [{ selfMs: 5, calls: [{ visit: { component: 'c', phases: [{ selfMs: 6.5 }] } }] }] } },
          ],
        },
      ],
    });
    expect(profile.edges['a->b']?.transportMs.mean).toBeCloseTo(15 - 14 - 0.5, 9);
    expect(profile.edges['b->c']?.transportMs.mean).toBe(0);
  });

  it('has a path over all nodes', () => {
    const totals = pathTotals(criticalPath(only(graph()).root));
    expect(totals.working).toBeCloseTo(4 + 4 + 6.5, 9);
    expect(totals.ingress).toBeCloseTo(1.5, 9);
    expect(totals.communication).toBeCloseTo(22 - 14.5 - 1.5, 9);
  });

  // a forks into b (5-9) and c (9-20); j joins them (20-28). `owner` says on which branch's message the join's turn hangs.
  const join = (owner: 'b' | 'c') => {
    const { spans, add } = tracer('j');
    const root = add(null, 'ingress', 'server', [0, 30], 'one');
    const callA = add(root, 'call a', 'client', [0, 30], 'one');
    add(callA, 'invoke_agent a', 'internal', [0, 4], 'one', busy(4, 1));
    const callB = add(callA, 'call b', 'client', [5, owner === 'b' ? 28.5 : 21], 'one', { 'dmas.from': 'a' });
    add(callB, 'invoke_agent b', 'internal', [5, 9], 'one', busy(4, 2));
    const early = add(callB, 'call j', 'client', [9, owner === 'b' ? 28 : 20.5], 'one', { 'dmas.from': 'b', 'dmas.graph.step': 3 });
    const callC = add(callA, 'call c', 'client', [5, owner === 'c' ? 28.5 : 21], 'one', { 'dmas.from': 'a' });
    add(callC, 'invoke_agent c', 'internal', [9, 20], 'one', busy(11, 2));
    const late = add(callC, 'call j', 'client', [20, owner === 'c' ? 28 : 20.5], 'one', { 'dmas.from': 'c', 'dmas.graph.step': 3 });
    add(owner === 'b' ? early : late, 'invoke_agent j', 'internal', [20, 28], 'one', busy(8, 1));
    return spans;
  };

  it.each(['b', 'c'] as const)(
    'takes the branch that came last as what the join waited for, with its turn on the message of %s',
    (owner) => {
      const spans = join(owner);
      const profile = profileOf(spans, ['a', 'b', 'c', 'j'], [['a', 'b', 'c', 'j']]);
      expect(profile.components.j?.visitsPerRequest).toBe(1);
      expect(profile.components.j?.heldMs.mean).toBe(8);
      expect(pathTotals(criticalPath(only(spans).root)).working).toBeCloseTo(4 + 11 + 8, 9);
      const [phase] = profile.skeletons[0]?.root.phases ?? [];
      expect(phase?.calls.map((call) => (call.kind === 'component' ? call.visit.component : ''))).toEqual(['b', 'c']);
      expect(phase?.calls[0]).toMatchObject({ visit: { phases: [{ selfMs: 4, calls: [{ visit: { component: 'j', phases: [] } }] }] } });
      expect(phase?.calls[1]).toMatchObject({
        visit: { phases: [{ selfMs: 11, calls: [{ visit: { component: 'j', phases: [{ selfMs: 8 }] } }] }] },
      });
    },
  );
});

describe('messages over topics', () => {
  // ingress → writer → (publish) reviewer → (publish) ingress. Everybody publishes and goes on.
  const chat = () => {
    const { spans, add } = tracer('t');
    const publish = { 'rpc.method': 'publish', 'rpc.system': 'http-json' };
    const root = add(null, 'ingress', 'server', [0, 50], 'w');
    const toWriter = add(root, 'call writer', 'producer', [1, 2], 'w', { ...publish, 'dmas.from': 'ingress' });
    const writer = add(toWriter, 'invoke_agent writer', 'internal', [3, 18], 'w', busy(15, 1));
    const toReviewer = add(writer, 'call reviewer', 'producer', [12, 14], 'w', { ...publish, 'dmas.from': 'writer' });
    const served = add(toReviewer, 'serve reviewer', 'consumer', [13, 47], 'r');
    const reviewer = add(served, 'invoke_agent reviewer', 'internal', [17, 46], 'r', { ...busy(20, 1), 'dmas.queue_ms': 3 });
    const toIngress = add(reviewer, 'call ingress', 'producer', [40, 43], 'r', { ...publish, 'dmas.from': 'reviewer' });
    add(toIngress, 'serve ingress', 'consumer', [42, 42.5], 'w');
    return spans;
  };

  it('follow the way to the completing message on the critical path', () => {
    const request = only(chat());
    const segments = criticalPath(request.root);
    const totals = pathTotals(segments);
    // writer until its message was taken over (3-12), reviewer from its turn to its message (17-40).
    expect(totals.working).toBeCloseTo(9 + 23, 9);
    expect(totals.queueing).toBeCloseTo(3, 9);
    // before writer's message and after the completing one.
    expect(totals.ingress).toBeCloseTo(1 + 8, 9);
    expect(totals.communication).toBeCloseTo(50 - 32 - 3 - 9, 9);
    expect(request.unbroken).toBe(true);
  });

  it('do not block the publisher in the skeleton', () => {
    const profile = profileOf(chat(), ['writer', 'reviewer'], [['writer'], ['reviewer']]);
    expect(profile.skeletons[0]?.root).toMatchObject({
      component: 'writer',
      phases: [
        { selfMs: 9, calls: [{ pattern: 'publish', visit: { component: 'reviewer' } }] },
        { selfMs: 4, calls: [] },
      ],
    });
    expect(profile.edges['writer->reviewer']?.transportMs.mean).toBe(2);
    expect(Object.keys(profile.edges)).toEqual(['writer->reviewer']);
  });
});

describe('CPU of a turn', () => {
  const costs = (spans: readonly SpanRecord[]) => {
    const entries = entryVisits(only(spans));
    const each = visitCosts(entries);
    return Object.fromEntries(entries.flatMap((entry) => [...visitsIn(entry)]).map((visit) => [visit.component, each.get(visit)]));
  };
  const nested = (outer: number, inner: number, innerConcurrency = 2) => {
    const { spans, add } = tracer('n');
    const root = add(null, 'ingress', 'server', [0, 40], 'u');
    const callA = add(root, 'call a', 'client', [0, 40], 'u');
    const a = add(callA, 'invoke_agent a', 'internal', [0, 40], 'u', busy(30, outer));
    const callB = add(a, 'call b', 'client', [10, 30], 'u', { 'dmas.from': 'a' });
    add(callB, 'invoke_agent b', 'internal', [10, 30], 'u', busy(inner, innerConcurrency));
    return spans;
  };

  it('leaves out what a callee in the same process used', () => {
    expect(costs(nested(2, 18))).toMatchObject({ a: { cpuMs: 12, wallMs: 20 }, b: { cpuMs: 18, wallMs: 20 } });
  });

  it('is unknown when another request was in the process, and then bounded by the idle time', () => {
    expect(costs(nested(3, 18, 3))).toMatchObject({ a: { cpuMs: null, idleMs: null }, b: { cpuMs: null, idleMs: 2 } });
  });

  it('is unknown when two callees shared the loop', () => {
    const { spans, add } = tracer('p');
    const root = add(null, 'ingress', 'server', [0, 40], 'u');
    const callA = add(root, 'call a', 'client', [0, 40], 'u');
    const a = add(callA, 'invoke_agent a', 'internal', [0, 40], 'u', busy(40, 3));
    for (const name of ['b', 'c']) {
      const call = add(a, `call ${name}`, 'client', [10, 30], 'u', { 'dmas.from': 'a' });
      add(call, `invoke_agent ${name}`, 'internal', [10, 30], 'u', busy(20, 3));
    }
    expect(costs(spans)).toMatchObject({ a: { cpuMs: null }, b: { cpuMs: null }, c: { cpuMs: null } });
  });

  it('is split from the operating system’s by wall time where traces cannot tell', () => {
    const usage = [{ id: 'a+b', replica: 0, cpuSeconds: 0.03, peakMemoryMb: 1, restarts: 0 }];
    const profile = profileOf(nested(9, 9, 9), ['a', 'b'], [['a', 'b']], {}, usage);
    expect([profile.components.a?.cpuMs.mean, profile.components.b?.cpuMs.mean]).toEqual([15, 15]);
    expect(profile.components.a?.osCpuMs).toBeNull();
  });
});

describe('a busy host', () => {
  const one = () => {
    const { spans, add } = tracer('h');
    const root = add(null, 'ingress', 'server', [0, 400], 'u');
    const call = add(root, 'call a', 'client', [0, 400], 'u');
    add(call, 'invoke_agent a', 'internal', [0, 400], 'u', busy(390, 1));
    return spans;
  };
  const usage = (cpuSeconds: number) => [{ id: 'a', replica: 0, cpuSeconds, peakMemoryMb: 1, restarts: 0 }];

  it('does not make a turn cost more CPU than its process was given', () => {
    const { components, overheadCpuMsPerRequest } = profileOf(one(), ['a'], [['a']], {}, usage(0.13));
    expect(components.a?.cpuMs.mean).toBeCloseTo(130, 6);
    // Its own wall time is without the wait for a core: 10 idle and 130 of CPU.
    expect(components.a?.selfMs.mean).toBeCloseTo(140, 6);
    expect(overheadCpuMsPerRequest).toBeCloseTo(0, 6);
  });

  it('is not seen where the system’s count is too coarse', () => {
    expect(profileOf(one(), ['a'], [['a']], {}, usage(0.02)).components.a?.cpuMs.mean).toBe(390);
  });
});

describe('a busy event loop of the callee', () => {
  // b works 10 ms; the wire takes 1 ms each way, but the message waits for b's loop before b is there.
  const waiting = (trace: string, waitMs: number) => {
    const { spans, add } = tracer(trace);
    const root = add(null, 'ingress', 'server', [0, 12 + waitMs], 'u');
    const turn = add(add(root, 'call a', 'client', [0, 12 + waitMs], 'u'), 'invoke_agent a', 'internal', [0, 12 + waitMs], 'u');
    const call = add(turn, 'call b', 'client', [0, 12 + waitMs], 'u', { 'dmas.from': 'a' });
    const serve = add(call, 'serve b', 'server', [1 + waitMs, 11 + waitMs], 'v');
    add(serve, 'invoke_agent b', 'internal', [1 + waitMs, 11 + waitMs], 'v');
    return spans;
  };

  it('is queueing, not communication', () => {
    const paths = [0, 0, 0, 100].map((waitMs, i) => criticalPath(only(waiting(`w${i}`, waitMs)).root));
    const totals = separateLoopWaits(paths).map(pathTotals);
    expect(totals[0]).toMatchObject({ communication: 2, queueing: 0, working: 10 });
    // Up to twice the usual may be jitter.
    expect(totals[3]).toMatchObject({ communication: 4, queueing: 98, working: 10 });
  });
});

describe('parallel and repeated calls', () => {
  it('are one phase when they overlap, and their stagger is kept as time', () => {
    const { spans, add } = tracer('o');
    const root = add(null, 'ingress', 'server', [0, 50], 'u');
    const callA = add(root, 'call a', 'client', [0, 50], 'u');
    const a = add(callA, 'invoke_agent a', 'internal', [0, 50], 'u', busy(5, 1));
    for (const [name, from, to] of [
      ['b', 10, 25],
      ['c', 12, 30],
      ['b', 35, 45],
    ] as const)
      add(a, `call ${name}`, 'client', [from, to], 'u', { 'dmas.from': 'a' });
    const [skeleton] = profileOf(spans, ['a', 'b', 'c'], [['a'], ['b'], ['c']]).skeletons;
    // 10-30 took 20 although the longest call took 18: 2 go to the next phase.
    expect(skeleton?.root.phases.map((phase) => [phase.selfMs, phase.calls.length])).toEqual([
      [10, 2],
      [5 + 2, 1],
      [5, 0],
    ]);
  });

  it('to somebody else’s agent are that agent’s work, as long as they took', () => {
    const { spans, add } = tracer('x');
    const root = add(null, 'ingress', 'server', [0, 50], 'u');
    const callA = add(root, 'call a', 'client', [0, 50], 'u');
    const a = add(callA, 'invoke_agent a', 'internal', [0, 50], 'u', busy(5, 1));
    add(a, 'call theirs', 'client', [10, 40], 'u', { 'dmas.from': 'a', 'rpc.system': 'a2a' });
    const { components, skeletons } = profileOf(spans, ['a', 'theirs'], [['a']]);
    expect([components.theirs?.visitsPerRequest, components.theirs?.selfMs.mean, components.theirs?.cpuMs.mean]).toEqual([1, 30, 0]);
    expect(skeletons[0]?.root.phases[0]).toMatchObject({ selfMs: 10, calls: [{ visit: { phases: [{ selfMs: 30, cpuMs: 0 }] } }] });
  });

  it('a failed attempt counts as an error, not as a visit', () => {
    const { spans, add } = tracer('r');
    const root = add(null, 'ingress', 'server', [0, 20], 'u');
    const callA = add(root, 'call a', 'client', [0, 20], 'u');
    const a = add(callA, 'invoke_agent a', 'internal', [0, 20], 'u', busy(5, 1));
    const lost = add(a, 'call b', 'client', [2, 5], 'u', { 'dmas.from': 'a', 'dmas.attempt': 1 });
    const again = add(a, 'call b', 'client', [6, 16], 'u', { 'dmas.from': 'a', 'dmas.attempt': 2, 'dmas.request.bytes': 10 });
    const serve = add(again, 'serve b', 'server', [7, 15], 'v');
    add(serve, 'invoke_agent b', 'internal', [8, 15], 'v', busy(5, 1));
    const failed = spans.map((span) => (span === lost ? { ...span, ok: false } : span));
    const { components, edges } = profileOf(failed, ['a', 'b'], [['a'], ['b']]);
    expect([components.b?.visitsPerRequest, components.b?.errorRate]).toEqual([1, 0.5]);
    expect([edges['a->b']?.callsPerRequest, edges['a->b']?.requestBytes.mean]).toEqual([2, 10]);
  });
});
