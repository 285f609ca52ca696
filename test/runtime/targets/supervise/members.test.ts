import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drainWaves, membersOf } from '../../../../runtime/targets/supervise/members.ts';
import { addressOf, bundlesOf, fixtureBundle, fixturePlan, fixtureService } from '../fixtures.ts';

const ids = ['a', 'b', 'c', 'd', 'e'] as const;
const anyPlan = fc
  .array(fc.record({ id: fc.constantFrom(...ids), ingress: fc.boolean(), calls: fc.uniqueArray(fc.constantFrom(...ids)) }), {
    minLength: 1,
  })
  .map((sketches) =>
    fixturePlan('process', [...new Map(sketches.map((sketch) => [sketch.id, sketch])).values()], [fixtureService('model-x')]),
  );

describe('drainWaves', () => {
  it('ends callers before what they call', () => {
    const plan = fixturePlan(
      'process',
      [{ id: 'c' }, { id: 'b', calls: ['c', 'a'] }, { id: 'a', ingress: true, calls: ['b'] }, { id: 'timer', calls: ['c'] }],
      [fixtureService('model-x'), fixtureService('gateway', 'gateway')],
    );
    expect(drainWaves(plan)).toEqual([['gateway'], ['a'], ['b'], ['c'], ['timer'], ['model-x']]);
  });

  it('names every unit and service exactly once, whatever calls what', () => {
    fc.assert(
      fc.property(anyPlan, (plan) => {
        const all = [...plan.units, ...plan.services].map(({ id }) => id);
        expect(drainWaves(plan).flat().sort()).toEqual(all.sort());
      }),
    );
  });
});

describe('membersOf', () => {
  const plan = fixturePlan(
    'process',
    [
      { id: 'a', ingress: true },
      { id: 'b', replicas: 3, transport: 'unix' },
    ],
    [fixtureService('model-x')],
  );

  it('has one per replica, with what each listens on', () => {
    const members = membersOf(plan, bundlesOf(plan));
    expect(members.map(({ id, replica }) => `${id}/${replica}`)).toEqual(['model-x/0', 'a/0', 'b/0', 'b/1', 'b/2']);
    expect(members[0]?.listens).toEqual([{ address: 'service://model-x', transport: 'tcp' }]);
    expect(members[1]).toMatchObject({
      listens: [
        { address: addressOf('a'), transport: 'tcp' },
        { address: 'ingress', transport: 'tcp' },
      ],
      publicAddress: 'ingress',
    });
    expect(members[2]).toMatchObject({ listens: [{ address: addressOf('b', 'unix'), transport: 'unix' }], publicAddress: null });
  });

  it('knows nobody again in another generation but gateways and servers that load weights', () => {
    const program = { command: ['vllm'], folder: '.', environment: {}, portVariable: 'PORT', path: '/', neighbours: {}, models: {} };
    const loading = { ...fixtureService('vllm'), program: { ...program, instrumented: false } };
    const more = fixturePlan(
      'process',
      [{ id: 'a', ingress: true }],
      [loading, fixtureService('model-x'), fixtureService('gateway', 'gateway')],
    );
    const prints = (generation: number) =>
      new Map(membersOf(more, bundlesOf(more), generation).map(({ id, fingerprint }) => [id, fingerprint]));
    const kept = (from: number, to: number) => [...prints(from)].filter(([id, print]) => prints(to).get(id) === print).map(([id]) => id);
    expect(kept(1, 1)).toEqual(['vllm', 'model-x', 'gateway', 'a']);
    expect(kept(0, 1)).toEqual(['vllm', 'gateway']);
    expect(kept(1, 2)).toEqual(['vllm', 'gateway']);
  });

  it('knows a member again when only the number of replicas changed, and only then', () => {
    const print = (other: typeof plan, bundle = fixtureBundle('b')) =>
      membersOf(other, [...bundlesOf(other), bundle].reverse()).find(({ id }) => id === 'b')?.fingerprint;
    const change = (difference: object) => ({
      ...plan,
      units: plan.units.map((unit) => (unit.id === 'b' ? { ...unit, ...difference } : unit)),
    });
    expect(print(change({ replicas: 1 }))).toBe(print(plan));
    expect(print(change({ secrets: ['X'] }))).not.toBe(print(plan));
    expect(print(plan, fixtureBundle('b', '', 2))).not.toBe(print(plan));
  });

  it('says which bundle is missing', () => {
    expect(() => membersOf(plan, [])).toThrow(/no bundle for model-x/);
  });
});
