import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { affinityLimits, createRouter } from '../../../../runtime/llm/engine/router.ts';
import { type Router, routers } from '../../../../runtime/llm/engine/step-time.ts';

/** Keys of the first `blocks` blocks of a conversation that begins like all others of its group. */
const conversation = (name: string, blocks: number) => Array.from({ length: blocks }, (_, index) => `${name}/${index}`);

/** Requests come and go: a number of a conversation arrives, `null` ends the oldest one under way. */
const traffic = fc.array(fc.oneof({ weight: 3, arbitrary: fc.nat(5) }, { weight: 2, arbitrary: fc.constant(null) }), { maxLength: 300 });

describe('routers', () => {
  it.each(routers)('%s: every request goes to exactly one replica that is up, and what is under way is counted', (kind) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
        traffic,
        (replicas, down, events) => {
          const router = createRouter(kind, replicas);
          const up = (replica: number) => !down[replica];
          const anybody = Array.from({ length: replicas }, (_, replica) => replica).some(up);
          const under: number[] = [];
          for (const event of events) {
            if (event === null) {
              const replica = under.shift();
              if (replica !== undefined) router.done(replica);
            } else {
              const replica = router.choose(conversation(`c${event}`, 8), up);
              expect(replica === undefined).toBe(!anybody);
              if (replica === undefined) continue;
              expect(replica < replicas && up(replica)).toBe(true);
              under.push(replica);
            }
            const counted = Array.from({ length: replicas }, (_, replica) => under.filter((one) => one === replica).length);
            expect([...router.outstanding]).toEqual(counted);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it.each(routers)('%s: the same requests get the same replicas', (kind) => {
    const run = (events: readonly (number | null)[]) => {
      const router = createRouter(kind, 3);
      return events.map((event) => (event === null ? router.done(0) : router.choose(conversation(`c${event}`, 5))));
    };
    fc.assert(
      fc.property(traffic, (events) => {
        expect(run(events)).toEqual(run(events));
      }),
    );
  });

  it('least-outstanding never sends to a replica that has more to do than another', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), traffic, (replicas, events) => {
        const router = createRouter('least-outstanding', replicas);
        for (const event of events) {
          if (event === null) {
            router.done(router.outstanding.indexOf(Math.max(...router.outstanding)));
            continue;
          }
          const before = [...router.outstanding];
          expect(before[router.choose([]) as number]).toBe(Math.min(...before));
        }
      }),
    );
  });

  it('round-robin takes turns, and goes on where a replica is down', () => {
    const router = createRouter('round-robin', 3);
    expect(Array.from({ length: 4 }, () => router.choose([]))).toEqual([0, 1, 2, 0]);
    expect(Array.from({ length: 3 }, () => router.choose([], (replica) => replica !== 1))).toEqual([2, 0, 2]);
  });

  it('equally busy replicas take turns', () => {
    const router = createRouter('least-outstanding', 3);
    const chosen = Array.from({ length: 6 }, () => {
      const replica = router.choose([]) as number;
      router.done(replica);
      return replica;
    });
    expect(chosen).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('prefix-affinity keeps a growing conversation where it began, and spreads new ones', () => {
    const router = createRouter('prefix-affinity', 4);
    const homes = ['a', 'b', 'c', 'd'].map((name) => router.choose(conversation(name, 10)));
    expect([...homes].sort()).toEqual([0, 1, 2, 3]);
    for (let turn = 1; turn <= 5; turn++)
      for (const [index, name] of ['a', 'b', 'c', 'd'].entries())
        expect(router.choose(conversation(name, 10 + 4 * turn))).toBe(homes[index]);
    // A common beginning that is a small part of the prompt is no reason.
    const shared = [...conversation('a', 2), ...conversation('x', 20)];
    const busiest = homes[0];
    router.choose(conversation('a', 30));
    expect(router.choose(shared)).not.toBe(busiest);
  });

  it('affinity finds more known blocks than taking turns does, on conversations that come in turns of their own', () => {
    const hits = (kind: Router) => {
      const router = createRouter(kind, 3);
      const seen = [0, 1, 2].map(() => new Set<string>());
      let found = 0;
      for (let turn = 1; turn <= 10; turn++) {
        for (const name of ['a', 'b', 'c', 'd']) {
          const prefix = conversation(name, 5 * turn);
          const replica = router.choose(prefix) as number;
          found += prefix.filter((key) => seen[replica]?.has(key)).length;
          for (const key of prefix) seen[replica]?.add(key);
          router.done(replica);
        }
      }
      return found;
    };
    // Every turn but the first finds all of the turn before: 4 conversations × 5 × (1 + … + 9).
    expect(hits('prefix-affinity')).toBe(900);
    expect(hits('round-robin')).toBeLessThan(700);
    expect(hits('least-outstanding')).toBeLessThan(900);
  });

  it('affinity never makes one replica busier than its bound allows', () => {
    const limits = { ...affinityLimits, imbalance: 5 };
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), fc.array(fc.nat(2), { minLength: 50, maxLength: 200 }), (replicas, requests) => {
        const router = createRouter('prefix-affinity', replicas, { limits });
        for (const request of requests) {
          router.choose(conversation(`c${request}`, 6));
          const [low, high] = [Math.min(...router.outstanding), Math.max(...router.outstanding)];
          expect(high - low <= limits.imbalance + 1 || high <= low * limits.imbalanceRatio + 1).toBe(true);
        }
      }),
    );
  });

  it('forgets what a replaced replica knew, and old prefixes when it has no more room', () => {
    const router = createRouter('prefix-affinity', 2);
    const home = router.choose(conversation('a', 10)) as number;
    router.done(home);
    router.forget(home);
    expect(router.choose(conversation('a', 10))).not.toBe(home);

    const small = createRouter('prefix-affinity', 2, { capacityBlocks: 40 });
    const first = small.choose(conversation('old', 10)) as number;
    small.done(first);
    // All of it goes to the other replica and back: the index holds 40 blocks at most.
    for (let index = 0; index < 20; index++) small.done(small.choose(conversation(`n${index}`, 10)) as number);
    const before = [...small.outstanding];
    const known = small.choose(conversation('old', 10)) as number;
    expect(before[known]).toBe(0);
    expect(() => createRouter('round-robin', 0)).toThrow(/at least one replica/);
  });
});
