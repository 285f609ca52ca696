import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configurationId } from '../../../compiler/contracts/index.ts';
import { buildSpace } from '../../../optimizer/space/build.ts';
import { choicesOf, configurationOf, picksWith, replicaVectors } from '../../../optimizer/space/choices.ts';
import { eachPartition, minimumUnits } from '../../../optimizer/space/partitions.ts';
import { satisfies } from '../../../optimizer/space/satisfies.ts';
import { bell, spaceSize } from '../../../optimizer/space/size.ts';
import type { Space } from '../../../optimizer/space/space.ts';
import { defaults, grpc, http, randomCase, scenario, spaceOf, workflowOf } from '../synthetic-profile.ts';

const traits = { enforces: { vcpu: false, memory: false }, unixSockets: true };
const three = workflowOf({ a: {}, b: {}, c: {} }, [
  ['a', 'b'],
  ['b', 'c'],
]);
const build = (search: object, workflow = three, baseline: object = {}) =>
  buildSpace({
    workflow,
    config: scenario({ search, baseline }),
    targetTraits: traits,
    protocolIds: ['http-json', 'grpc'],
    defaults,
  });
const codes = (search: object, workflow = three) => build(search, workflow).problems.map((problem) => problem.code);

function partitionsOf(space: Space): string[] {
  const all: string[] = [];
  eachPartition(space, {
    leaf: (groups) => {
      all.push(
        groups
          .map((group) => [...group].sort().join('+'))
          .sort()
          .join('|'),
      );
      return true;
    },
  });
  return all;
}

function configurationsOf(space: Space) {
  const all: ReturnType<typeof configurationOf>[] = [];
  eachPartition(space, {
    leaf: (groups) => {
      const choices = choicesOf(space, groups);
      for (const replicas of replicaVectors(choices))
        for (const pick of picksWith(choices, replicas)) all.push(configurationOf(space, groups, choices, pick));
      return true;
    },
  });
  return all;
}

describe('partitions', () => {
  it('come each exactly once: as many as the Bell number', () => {
    expect([0, 1, 2, 3, 4, 5, 10].map(bell)).toEqual([1, 1, 2, 5, 15, 52, 115975]);
    for (const n of [1, 2, 3, 4, 5, 6]) {
      const all = partitionsOf(spaceOf(randomCase(n, n).workflow));
      expect(all.length).toBe(bell(n));
      expect(new Set(all).size).toBe(all.length);
    }
  });

  it('respect together, apart, replicasOnly and maxUnits', () => {
    const pinned = workflowOf({ a: {}, b: {}, c: { mobility: 'replicasOnly' } }, [['a', 'b']]);
    expect(partitionsOf(spaceOf(three, { together: [['a', 'c']] })).sort()).toEqual(['a+b+c', 'a+c|b']);
    expect(partitionsOf(spaceOf(three, { apart: [['a', 'c']] })).sort()).toEqual(['a+b|c', 'a|b+c', 'a|b|c']);
    expect(partitionsOf(spaceOf(pinned)).sort()).toEqual(['a+b|c', 'a|b|c']);
    expect(partitionsOf(spaceOf(three, { maxUnits: 1 }))).toEqual(['a+b+c']);
    expect(minimumUnits(spaceOf(three, { apart: [['a', 'b', 'c']] }))).toBe(3);
    expect(minimumUnits(spaceOf(three, { apart: [['a', 'b', 'c']], maxUnits: 2 }))).toBe(Number.POSITIVE_INFINITY);
  });

  it('of components whose replica ranges exclude each other stay apart', () => {
    const replicas = { a: { min: 1, max: 1 }, b: { min: 2, max: 3 }, c: { min: 1, max: 3 } };
    expect(partitionsOf(spaceOf(three, { replicas })).sort()).toEqual(['a+c|b', 'a|b+c', 'a|b|c']);
  });
});

describe('space size', () => {
  it('equals the number of configurations, all distinct and all inside', () => {
    fc.assert(
      fc.property(
        fc.record({
          n: fc.integer({ min: 1, max: 5 }),
          seed: fc.integer({ min: 1, max: 9999 }),
          maxReplicas: fc.integer({ min: 1, max: 2 }),
          protocols: fc.boolean(),
          apart: fc.boolean(),
          together: fc.boolean(),
          maxUnits: fc.integer({ min: 1, max: 5 }),
          resources: fc.boolean(),
          serving: fc.boolean(),
        }),
        (c) => {
          const { workflow, names } = randomCase(c.n, c.seed, 1);
          const [first = '', second = '', last = ''] = [names[0], names[1], names[c.n - 1]];
          const space = spaceOf(workflow, {
            maxUnits: c.maxUnits,
            apart: c.apart && c.n > 1 ? [[first, second]] : [],
            together: c.together && c.n > 2 ? [[second, last]] : [],
            replicas: Object.fromEntries(names.map((name, i) => [name, { min: 1, max: i % 2 === 0 ? c.maxReplicas : 3 }])),
            protocols: Object.fromEntries(
              workflow.channels.map((channel, i) => [channel.id, c.protocols && i % 2 === 0 ? [http, grpc] : [http]]),
            ),
            resources: c.resources
              ? {
                  [first]: [
                    { vcpu: 1, memoryMb: 256 },
                    { vcpu: 2, memoryMb: 512 },
                  ],
                }
              : {},
            ...(c.serving
              ? { serving: [{ pools: [{ id: 'main', options: [1, 2, 3].map((replicas) => ({ replicas, options: {} })) }] }] }
              : {}),
          });
          const all = configurationsOf(space);
          expect(spaceSize(space)).toBe(all.length);
          expect(new Set(all.map(configurationId)).size).toBe(all.length);
          expect(all.flatMap((configuration) => satisfies(space, configuration))).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is exact where nothing can be listed any more', () => {
    expect(spaceSize(spaceOf(randomCase(14, 1, 1).workflow))).toBe(bell(14));
    const fixed = workflowOf(
      Object.fromEntries(Array.from({ length: 18 }, (_, i) => [`p${i}`, { mobility: 'replicasOnly' as const }])),
      [],
    );
    const components = fixed.agents.map((agent) => agent.name);
    const replicas = Object.fromEntries(components.map((name) => [name, { min: 1, max: 2 }]));
    expect(spaceSize(spaceOf(fixed, { replicas }))).toBe(2 ** 18);
  });
});

describe('buildSpace', () => {
  it('by default searches only the partition, with the baseline protocol', () => {
    const { space, problems } = build({}, three, { channels: { 'a->b': 'grpc' } });
    expect(problems).toEqual([]);
    expect(spaceSize(space)).toBe(5);
    expect(space.protocols).toEqual({ 'a->b': [grpc], 'b->c': [http] });
    expect(space.replicas.a).toEqual({ min: 1, max: 1 });
  });

  it('takes per-component and default ranges and protocols', () => {
    const { space, problems } = build({
      replicas: { default: [1, 2], b: 3 },
      protocols: { default: ['http-json', 'grpc'], 'b->c': ['grpc'] },
    });
    expect(problems).toEqual([]);
    expect(space.replicas).toEqual({ a: { min: 1, max: 2 }, b: { min: 3, max: 3 }, c: { min: 1, max: 2 } });
    expect(space.protocols).toEqual({ 'a->b': [http, grpc], 'b->c': [grpc] });
  });

  it('leaves out what is external', () => {
    const workflow = workflowOf({ a: {}, b: { mobility: 'external' }, c: {} }, [['a', 'b']]);
    expect(build({}, workflow).space.components).toEqual(['a', 'c']);
    expect(codes({ together: [['a', 'b']] }, workflow)).toEqual(['DMAS_CFG_CONTRADICTION']);
  });

  it('makes all combinations of serving settings, for models we serve', () => {
    const serving = { main: { replicas: 1, options: { batch: 8 } } };
    const { space, problems } = buildSpace({
      workflow: three,
      config: scenario({ search: { serving: { main: { replicas: [1, 2], batch: [8, 16] } } } }),
      targetTraits: traits,
      protocolIds: ['http-json'],
      defaults: { ...defaults, serving },
    });
    expect(problems).toEqual([]);
    expect(space.serving.map(({ pools }) => pools.map(({ id, options }) => [id, options.length]))).toEqual([[['main', 4]]]);
    expect(codes({ serving: { main: { replicas: [1, 2] } } })).toEqual(['DMAS_CFG_UNENFORCEABLE']);
  });

  it('says what is unknown and what was meant', () => {
    const { problems } = build({ together: [['aa', 'b']], protocols: { 'a->c': ['http-jsn'] }, replicas: { d: 2 } });
    expect(problems.map((problem) => problem.code).sort()).toEqual([
      'DMAS_CFG_UNKNOWN_AGENT',
      'DMAS_CFG_UNKNOWN_AGENT',
      'DMAS_CFG_UNKNOWN_CHANNEL',
      'DMAS_CFG_UNKNOWN_PROTOCOL',
    ]);
    expect(problems.find((problem) => problem.code === 'DMAS_CFG_UNKNOWN_PROTOCOL')?.didYouMean).toBe('http-json');
  });

  it('refuses limits the target cannot enforce and contradictions', () => {
    expect(codes({ resources: { a: [{ vcpu: 1 }, { vcpu: 2 }] } })).toEqual(['DMAS_CFG_UNENFORCEABLE']);
    expect(codes({ resources: { a: [{ vcpu: 2 }] } })).toEqual([]);
    expect(
      codes({
        together: [
          ['a', 'b'],
          ['b', 'c'],
        ],
        apart: [['a', 'c']],
      }),
    ).toEqual(['DMAS_CFG_CONTRADICTION']);
    expect(codes({ together: [['a', 'b']], replicas: { a: 1, b: 2 } })).toEqual(['DMAS_CFG_CONTRADICTION']);
    expect(codes({ replicas: { a: [3, 2] } })).toEqual(['DMAS_CFG_CONTRADICTION']);
    expect(codes({ apart: [['a', 'b', 'c']], maxUnits: 2 })).toEqual(['DMAS_CFG_CONTRADICTION']);
  });
});

describe('satisfies', () => {
  const space = spaceOf(three, { apart: [['a', 'c']] });
  const inside = configurationsOf(space)[0];

  it('names everything in which a configuration leaves the space', () => {
    if (!inside) throw new Error('the space is empty');
    const unit = inside.units[0];
    if (!unit) throw new Error('no unit');
    const messages = (change: object) => satisfies(space, { ...inside, ...change }).map((problem) => problem.message);
    expect(messages({ units: [{ ...unit, components: ['a', 'b', 'c'] }] })).toEqual(['a and c may not share a unit']);
    expect(messages({ units: [unit] }).some((message) => message.includes('is in no unit'))).toBe(true);
    expect(messages({ units: inside.units.map((each) => ({ ...each, replicas: 9 })) })[0]).toContain('9 replicas');
    expect(messages({ channels: { 'a->b': grpc, 'b->c': grpc } })[0]).toContain('speaks grpc');
    expect(messages({ units: inside.units.map((each) => ({ ...each, resources: { vcpu: 4, memoryMb: 1 } })) })[0]).toContain('4 vCPU');
  });
});
