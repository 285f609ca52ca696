import { describe, expect, it } from 'vitest';
import { exportFacts } from '../../cli/export-facts.ts';
import type { Block, Configuration, Plan, Profile, Study } from '../../compiler/contracts/index.ts';
import { configurationId } from '../../compiler/contracts/index.ts';
import type { Report } from '../../reports/report.ts';
import { blockOf } from '../optimizer/synthetic-block.ts';

const unit = (id: string, replicas = 1) => ({ id, components: [id], replicas, resources: { vcpu: 1, memoryMb: 256 } });
const configuration: Configuration = { schemaVersion: 1, units: [unit('front'), unit('back', 2)], channels: {}, serving: {} };
const id = configurationId(configuration);
const plan = {
  units: configuration.units.map((one) => ({ ...one, agents: one.components, toolServers: [] })),
  services: [{ id: 'model-main' }],
} as unknown as Plan;

interface Seen {
  readonly purpose?: Block['purpose'];
  readonly perSecond?: number;
  /** CPU time of all replicas of each unit per request, in milliseconds. */
  readonly cpuMs?: { readonly front: number; readonly back: number };
  readonly of?: string;
  readonly valid?: boolean;
}
/** A block of 1000 requests. */
function block({ purpose = 'confirm', perSecond = 10, cpuMs = { front: 10, back: 20 }, of = id, valid = true }: Seen = {}): Block {
  const usage = [
    { id: 'front', replica: 0, cpuSeconds: cpuMs.front },
    { id: 'back', replica: 0, cpuSeconds: cpuMs.back / 2 },
    { id: 'back', replica: 1, cpuSeconds: cpuMs.back / 2 },
  ].map((one) => ({ ...one, peakMemoryMb: 50, restarts: 0 }));
  const made = blockOf({ configuration, p50Ms: 100, perSecond });
  return { ...made, id: `${purpose}-${of}`, purpose, configurationId: of, usage, quality: { valid, faults: [] } };
}

/** The front calls the back twice, each call 50 ms; itself it holds a request for 200 ms. */
const profile = {
  components: {
    front: { visitsPerRequest: 1, heldMs: { mean: 190 }, queueMs: { mean: 10 } },
    back: { visitsPerRequest: 2, heldMs: { mean: 40 }, queueMs: { mean: 10 } },
  },
  edges: { 'front->back': { callsPerRequest: 2 } },
} as unknown as Profile;

const study = (blocks: readonly Block[]): Study =>
  ({
    blocks: new Map(blocks.map((one) => [one.id, one])),
    entries: [
      { type: 'trial-added', number: 1, configurationId: id, configuration },
      { type: 'profiled', profile },
    ],
  }) as unknown as Study;

const estimate = { point: 100, low: 90, high: 110, level: 0.95, n: 4, provenance: 'measured' as const };
const trial = {
  ...{ number: 1, configurationId: id, label: 'all apart', roles: ['winner'], state: 'measured' },
  ...{ p50Ms: estimate, p95Ms: null, usdPer1000: { ...estimate, n: 0 }, cpuMsPerRequest: null, errorRate: 0.001 },
};
const facts = (blocks: readonly Block[], trials: readonly object[] = [trial], readyMs: readonly number[] = []) =>
  exportFacts({
    ...{ study: study(blocks), plan, configuration, runId: 'run-1', scenarioFile: '/s.yaml', notes: [], readyMs },
    report: { trials, scenario: { target: 'docker' } } as unknown as Report,
  });

describe('what an export is told of a run', () => {
  it('names the run, the layout and its claims, with intervals and where they were measured', () => {
    const { origin, claims } = facts([]);
    expect(origin).toBe('run run-1, layout 1 (all apart), its winner');
    expect(claims).toEqual([
      'latency p50 100 ms (95 % interval 90.0 ms to 110 ms, 4 blocks, measured), on target docker',
      'errors 0.10 %, on target docker',
    ]);
    expect(facts([], []).origin).toContain('a layout it did not try');
    expect(facts([], []).claims).toEqual([]);
  });

  it('takes the slowest start it saw for every member', () => {
    expect(facts([], [trial], [800, 1200, 900]).startMs).toEqual({ front: 1200, back: 1200, 'model-main': 1200 });
    expect(facts([]).startMs).toEqual({});
  });

  it('knows no capacity where no block of this layout counts', () => {
    expect(facts([block({ of: 'another' }), block({ valid: false })]).capacityPerReplica).toEqual({});
  });

  it('says what a replica took, and what by Little’s law was under way in it', () => {
    const { front, back } = facts([block({ perSecond: 10 })]).capacityPerReplica;
    expect(front).toMatchObject({
      requestsPerSecond: 10,
      cpuSecondsPerRequest: 0.01,
      provenance: expect.stringContaining('it may take more'),
    });
    expect(front?.concurrency).toBeCloseTo(10 * 0.2, 9);
    // Two replicas share ten requests a second; each request enters twice, for 50 ms.
    expect(back?.requestsPerSecond).toBe(5);
    expect(back?.concurrency).toBeCloseTo(5 * 2 * 0.05, 9);
  });

  it('says more where CPU says so: the use that the busiest unit reached at capacity, over the CPU of a request', () => {
    // At capacity 40 requests a second of 20 ms on two replicas: 0.4 of a core each, and the front the same.
    const { front, back } = facts([block(), block({ purpose: 'capacity', perSecond: 40 })]).capacityPerReplica;
    expect(front?.requestsPerSecond).toBeCloseTo(40, 9);
    expect(back?.requestsPerSecond).toBeCloseTo(20, 9);
    const busier = facts([block(), block({ purpose: 'capacity', perSecond: 40, cpuMs: { front: 10, back: 40 } })]).capacityPerReplica;
    // Now the back is at 0.8 of a core, so the front would take as much again.
    expect(busier.front?.requestsPerSecond).toBeCloseTo(0.8 / 0.01, 9);
    expect(busier.front?.provenance).toContain('80 % of a core');
  });
});
