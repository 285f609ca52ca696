import type Docker from 'dockerode';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeploymentNetworks } from '../../../../runtime/targets/docker/networks.ts';
import { fixturePlan, fixtureService, type UnitSketch } from '../fixtures.ts';

/** An engine that keeps networks and who is on them. */
function fakeEngine() {
  const networks = new Map<string, { internal: boolean; subnet: string; on: Set<string> }>();
  const network = (name: string) => ({
    inspect: async () => ({ IPAM: { Config: [{ Gateway: '10.213.0.1' }] } }),
    remove: async () => {
      if ((networks.get(name)?.on.size ?? 0) > 0) throw Object.assign(new Error(`${name} has active endpoints`), { statusCode: 403 });
      networks.delete(name);
    },
    connect: async ({ Container }: { Container: string }) => networks.get(name)?.on.add(Container),
    disconnect: async ({ Container }: { Container: string }) => networks.get(name)?.on.delete(Container),
  });
  const docker = {
    listNetworks: async () => [...networks.values()].map(({ subnet }) => ({ IPAM: { Config: [{ Subnet: subnet }] } })),
    createNetwork: async ({ Name, Internal, IPAM }: { Name: string; Internal: boolean; IPAM: { Config: { Subnet: string }[] } }) => {
      networks.set(Name, { internal: Internal, subnet: IPAM.Config[0]?.Subnet ?? '', on: new Set() });
      return network(Name);
    },
    getNetwork: network,
  } as unknown as Docker;
  const enter = (own: DeploymentNetworks, container: string, id: string) => {
    for (const attachment of own.enter(container, id, [container])) networks.get(attachment.network)?.on.add(container);
  };
  const leave = (own: DeploymentNetworks, container: string) => {
    own.leave(container);
    for (const { on } of networks.values()) on.delete(container);
  };
  const together = (a: string, b: string) => [...networks.values()].some(({ internal, on }) => internal && on.has(a) && on.has(b));
  return { docker, networks, enter, leave, together };
}

const ids = ['a', 'b', 'c', 'd', 'e'];
const layouts = fc
  .uniqueArray(fc.constantFrom(...ids), { minLength: 1, maxLength: 5 })
  .chain((units) =>
    fc.record(
      Object.fromEntries(units.map((id) => [id, fc.subarray([...units, 'service://model-x'])])) as { [id: string]: fc.Arbitrary<string[]> },
    ),
  );
const planFrom = (calls: { readonly [id: string]: readonly string[] }) =>
  fixturePlan(
    'docker',
    Object.keys(calls).map((id, index): UnitSketch => ({ id, ingress: index === 0, calls: calls[id] ?? [] })),
    [fixtureService('model-x')],
  );
const settings = { deploymentId: 'd', otlpEndpoints: [], subnets: '10.213.0.0/16', local: true, image: () => '' };

describe('the networks of a deployment', () => {
  it('bring together who may speak and nobody else, over any sequence of plans, and do not pile up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(layouts, { minLength: 1, maxLength: 5 }), async (sequence) => {
        const engine = fakeEngine();
        const own = new DeploymentNetworks(engine.docker, settings);
        let running = new Map<string, string>();
        for (const [version, calls] of sequence.entries()) {
          await own.prepare(planFrom(calls));
          // A unit whose calls change is replaced by another container; the model stays for ever.
          const next = new Map(
            [...Object.keys(calls), 'model-x'].map((id) => [id, id === 'model-x' ? 'model-x' : `${id}.${version}`] as const),
          );
          for (const [id, container] of next) if (running.get(id) !== container) engine.enter(own, container, id);
          for (const [id, container] of running) if (next.get(id) !== container) engine.leave(own, container);
          running = next;
          await own.settle();
          const containers = [...next];
          for (const [a, one] of containers)
            for (const [b, other] of containers) {
              if (a >= b) continue;
              const reaches = (from: string, to: string) =>
                calls[from]?.some((called) => called === to || called === `service://${to}`) === true;
              expect(engine.together(one, other), `${a} and ${b} in plan ${version}`).toBe(reaches(a, b) || reaches(b, a));
            }
          const pairs = Object.values(calls).reduce((sum, called) => sum + called.length, 0);
          expect([...engine.networks.values()].filter(({ internal }) => internal).length).toBeLessThanOrEqual(pairs);
        }
        for (const container of running.values()) engine.leave(own, container);
        await own.close();
        expect(engine.networks.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('give the way out to those that call the world, and to the egress service alone where there is one', async () => {
    const engine = fakeEngine();
    const own = new DeploymentNetworks(engine.docker, settings);
    const sketches: UnitSketch[] = [
      { id: 'a', ingress: true, calls: ['b'] },
      { id: 'b', calls: ['https://api.example'] },
    ];
    await own.prepare(fixturePlan('docker', sketches));
    const [first, second] = own.enter('b.0', 'b', []);
    expect(first).toMatchObject({ network: expect.stringMatching(/-1-out$/), gateway: true, named: false });
    // Before engine 28 the first name in order is where the default route goes.
    expect((first?.network ?? '') < (second?.network ?? '')).toBe(true);
    expect(own.enter('a.0', 'a', []).map(({ network }) => network)).not.toContain(first?.network);

    const through = new DeploymentNetworks(fakeEngine().docker, settings);
    await through.prepare(fixturePlan('docker', sketches, [fixtureService('egress', 'egress')]));
    expect([through.hasWayOut('a'), through.hasWayOut('b'), through.hasWayOut('egress')]).toEqual([false, false, true]);
  });
});
