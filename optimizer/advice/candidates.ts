import {
  type Configuration,
  canonicalConfiguration,
  configurationId,
  defaultResources,
  type LayoutDefaults,
  type UnitConfiguration,
  unitId,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import type { InferredWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import { createAnalyticPredictor } from '../predict/analytic.ts';
import { createAnalyticBound } from '../predict/bound.ts';
import { createSimulatedPredictor } from '../predict/simulated.ts';
import { searchLayouts } from '../search/search-layouts.ts';
import type { Space } from '../space/space.ts';
import { callsOf } from './replay.ts';
import type { World } from './worlds.ts';

/** Above so many units the search is left out: joining step by step finds what traces can tell apart. */
const searchedUnits = 8;
/** Single steps that are looked at, those with most time in hops first. */
const mostSteps = 16;

/** Whether two components could share a process: both are traced from inside and written in the same language, as far as told. */
export function joinability(inferred: InferredWorkflow): (a: string, b: string) => boolean {
  const key = new Map(
    inferred.components.filter(({ mobility }) => mobility !== 'external').map((each) => [each.name, languageOf(each.languages)]),
  );
  return (a, b) => {
    const [left, right] = [key.get(a), key.get(b)];
    return left !== undefined && left === right;
  };
}

const languageOf = (languages: readonly string[]): string => {
  const names = languages.map((language) => (/^(node|javascript|typescript)/.test(language) ? 'nodejs' : language));
  return [...new Set(names)].sort().join('+');
};

/** Layouts worth a look: each join of two units that call each other, joins one after another, all that may be joined, and what the search finds. */
export function candidateLayouts(inferred: InferredWorkflow, world: World, signal: AbortSignal, seed: number): Configuration[] {
  const canJoin = joinability(inferred);
  const unitsCanJoin = (a: UnitConfiguration, b: UnitConfiguration) =>
    a.components.every((left) => b.components.every((right) => canJoin(left, right)));
  const { baseline } = world;
  const found = new Map<string, Configuration>();
  const add = (layout: Configuration) => found.set(configurationId(layout), layout);

  const hops = hopsBetweenUnits(baseline, world).filter(({ a, b }) => unitsCanJoin(a, b));
  for (const { a, b } of hops.slice(0, mostSteps)) add(join(baseline, [a, b]));
  let stepwise = baseline;
  for (let step = 0; step < mostSteps; step++) {
    const next = hopsBetweenUnits(stepwise, world).find(({ a, b }) => unitsCanJoin(a, b));
    if (!next) break;
    stepwise = join(stepwise, [next.a, next.b]);
    add(stepwise);
  }
  let together = baseline;
  for (const unit of baseline.units) {
    const host = together.units.find((other) => !other.components.includes(unit.components[0] ?? '') && unitsCanJoin(other, unit));
    const own = together.units.find((other) => other.components.includes(unit.components[0] ?? ''));
    if (host && own && host !== own) together = join(together, [host, own]);
  }
  add(together);
  if (hops.length > 0 && baseline.units.length <= searchedUnits)
    for (const layout of searched(inferred, world, canJoin, signal, seed)) add(layout);
  found.delete(configurationId(baseline));
  return [...found.values()];
}

/** Pairs of units by the time requests spend in hops between them, most first. */
function hopsBetweenUnits(layout: Configuration, { requests }: World) {
  const unitOf = new Map(layout.units.flatMap((unit) => unit.components.map((name) => [name, unit] as const)));
  const pairs = new Map<string, { readonly a: UnitConfiguration; readonly b: UnitConfiguration; ms: number }>();
  for (const { root } of requests) {
    for (const { from, call } of callsOf(root)) {
      const [a, b] = [unitOf.get(from), unitOf.get(call.visit.component)].sort((x, y) => ((x?.id ?? '') < (y?.id ?? '') ? -1 : 1));
      if (!a || !b || a === b) continue;
      const key = `${a.id}\n${b.id}`;
      const pair = pairs.get(key) ?? { a, b, ms: 0 };
      pairs.set(key, pair);
      pair.ms += call.hopMs;
    }
  }
  return [...pairs].sort(([x, p], [y, q]) => q.ms - p.ms || (x < y ? -1 : 1)).map(([, pair]) => pair);
}

/** The units become one, with as many replicas as the one that had most. */
export function join(layout: Configuration, units: readonly UnitConfiguration[]): Configuration {
  const ids = new Set(units.map(({ id }) => id));
  const components = units.flatMap((unit) => unit.components);
  const joined = {
    id: unitId(components),
    components,
    replicas: Math.max(...units.map(({ replicas }) => replicas)),
    resources: units[0]?.resources ?? defaultResources,
  };
  return canonicalConfiguration({ ...layout, units: [...layout.units.filter(({ id }) => !ids.has(id)), joined] });
}

/** The best layouts of the search where joined work gets in its own way, units of today as its smallest pieces. */
function searched(
  { workflow, components }: InferredWorkflow,
  { baseline, predictor }: World,
  canJoin: (a: string, b: string) => boolean,
  signal: AbortSignal,
  seed: number,
): Configuration[] {
  const placed = baseline.units.flatMap((unit) => unit.components);
  const most = Math.max(...baseline.units.map(({ replicas }) => replicas));
  const defaults: LayoutDefaults = { protocol: { protocol: 'as-traced', options: {} }, resources: defaultResources, serving: {} };
  const space: Space = {
    workflow: openedFor(workflow, new Set(placed)),
    components: [...placed].sort(),
    together: baseline.units.map((unit) => unit.components).filter((names) => names.length > 1),
    apart: placed.flatMap((a, i) => placed.slice(i + 1).flatMap((b) => (canJoin(a, b) || sameUnit(baseline, a, b) ? [] : [[a, b]]))),
    maxUnits: baseline.units.length,
    replicas: Object.fromEntries(
      baseline.units.flatMap((unit) => unit.components.map((name) => [name, { min: unit.replicas, max: most }] as const)),
    ),
    protocols: Object.fromEntries(Object.entries(baseline.channels).map(([id, setting]) => [id, [setting]])),
    resources: {},
    serving: [{ pools: [] }],
    defaults,
  };
  if (components.length === 0) return [];
  // Inside a unit nothing is spoken, but every setting needs a price.
  const prices = [...predictor.prices, { ...(predictor.prices[0] ?? freeAsTraced), options: '{}' }];
  const input = { ...predictor, workflow: space.workflow, prices };
  const { best } = searchLayouts({
    space,
    analytic: createAnalyticPredictor(input),
    simulated: createSimulatedPredictor(input),
    boundFor: (objective) => createAnalyticBound({ ...input, space, objective }),
    objective: { minimize: ['latency.p50'], slo: [], margin: 0, includeHuman: false },
    count: 3,
    seed,
    signal,
  });
  return best.map(({ configuration }) => canonicalConfiguration({ ...configuration, channels: baseline.channels }));
}

const freeAsTraced = { protocol: 'as-traced', latencyFixedMs: 0, latencyPerKbMs: 0, cpuFixedMs: 0, cpuPerKbMs: 0 };
const sameUnit = (layout: Configuration, a: string, b: string) =>
  layout.units.some((unit) => unit.components.includes(a) && unit.components.includes(b));

/** What only its owners can join may be joined here: the question is what layout could change at all. */
export const openedFor = (workflow: Workflow, placed: ReadonlySet<string>): Workflow => ({
  ...workflow,
  agents: workflow.agents.map((agent) => (placed.has(agent.name) ? { ...agent, mobility: 'movable' } : agent)),
  toolServers: workflow.toolServers.map((server) => (placed.has(server.name) ? { ...server, mobility: 'movable' } : server)),
});
