import {
  attr,
  type Block,
  type ComponentProfile,
  type Configuration,
  componentsOf,
  configurationId,
  entryComponent,
  type Profile,
  type SpanRecord,
  type Workflow,
  weakest,
} from '../../compiler/contracts/index.ts';
import { selfMsOf, type VisitCost, visitCosts } from './cpu.ts';
import { criticalPath, pathShares } from './critical-path.ts';
import { distribution } from './distribution.ts';
import { edgeProfiles } from './edges.ts';
import { graphSteps } from './graph-steps.ts';
import { separateLoopWaits } from './loop-waits.ts';
import { modelProfiles } from './models.ts';
import { evenly, skeletonOf } from './skeleton.ts';
import { buildTraces, type RequestTrace } from './tree.ts';
import { unitCpu, usualCpu, withoutPreemption } from './usual-cpu.ts';
import { entryVisits, ran, type Visit, visitsIn } from './visits.ts';

export interface ProfileInput {
  readonly workflow: Workflow;
  readonly configuration: Configuration;
  /** Blocks of that configuration with their spans. */
  readonly blocks: readonly { readonly block: Block; readonly spans: readonly SpanRecord[]; readonly dropped?: number }[];
}

/** Enough for a stable p95 of a class, and few enough to replay in a millisecond per layout. */
export const skeletonsPerClass = 256;

/** What the traces of one layout say. Broken traces count for the trace quality and for nothing else. */
export function buildProfile(input: ProfileInput): Profile {
  const { workflow, configuration, blocks } = input;
  const forests = blocks.map(({ block, spans }) => ({ block, forest: buildTraces(spans) }));
  const requests = forests.flatMap(({ block, forest }) => measured(block, forest.requests));
  const n = requests.length;
  const entries = requests.map(entryVisits);
  const entriesOf = new Map(requests.map((request, i) => [request, entries[i] ?? []]));
  const visits = entries.map((each) => each.flatMap((visit) => [...visitsIn(visit)]));
  const raw = new Map<Visit, VisitCost>(entries.flatMap((each) => [...visitCosts(each)]));
  const units = unitCpu(configuration, blocks);
  const costs = withoutPreemption(raw, units, n);

  const names = componentsOf(workflow);
  const usual = usualCpu(units, visits, costs);
  const components: { [component: string]: ComponentProfile } = {};
  for (const name of names) {
    const mine = visits.flatMap((each) => each.filter((visit) => visit.component === name && (ran(visit) || !visit.call.span.ok)));
    if (mine.length > 0) components[name] = componentProfile(mine, costs, usual.cpuMs.get(name) ?? 0, usual.osCpuMs.get(name) ?? null, n);
  }
  const ownTime = (visit: Visit) => {
    const cost = costs.get(visit) ?? { cpuMs: null, wallMs: 0, idleMs: null };
    const usualMs = usual.cpuMs.get(visit.component) ?? 0;
    const selfMs = selfMsOf(cost, usualMs);
    return { selfMs, cpuMs: cost.cpuMs ?? Math.min(usualMs, selfMs) };
  };
  const edges = edgeProfiles(visits, n);
  const steps = graphSteps(requests, workflow);
  const good = requests.filter((request) => request.root.span.ok);
  const entry = entryComponent(workflow);
  const classes = [...new Set(good.map((request) => request.requestClass))].sort();
  const allSpans = forests.reduce((sum, { forest }) => sum + forest.spans, 0);
  const traces = forests.reduce((sum, { forest }) => sum + forest.traces, 0);
  const unbroken = forests.reduce((sum, { forest }) => sum + forest.unbrokenShare * forest.traces, 0);

  return {
    schemaVersion: 1,
    configurationId: blocks[0]?.block.configurationId ?? configurationId(configuration),
    blockIds: blocks.map(({ block }) => block.id),
    provenance: weakest(blocks.map(({ block }) => block.provenance)),
    traces: {
      requests: forests.reduce((sum, { forest }) => sum + forest.requests.length, 0),
      unbrokenShare: traces === 0 ? 0 : unbroken / traces,
      spans: allSpans,
      dropped: blocks.reduce((sum, { dropped = 0 }) => sum + dropped, 0),
      darkComponents: names.filter((name) => !(name in components)),
      ...silentIn(visits.flat()),
    },
    classShares: classShares(blocks, requests),
    components,
    edges,
    models: modelProfiles(requests, n),
    ...poolsOf(blocks),
    ...(steps.length === 0 ? {} : { graphSteps: steps }),
    skeletons: classes.flatMap((requestClass) =>
      evenly(
        good.filter((request) => request.requestClass === requestClass),
        skeletonsPerClass,
      ).flatMap((request) => skeletonOf(request, entriesOf.get(request) ?? [], entry, ownTime) ?? []),
    ),
    criticalPath: pathShares(separateLoopWaits(good.map((request) => criticalPath(request.root)))),
    overheadCpuMsPerRequest: overheadCpuMs(usual.totalCpuMsPerRequest, components, edges),
  };
}

/** Every pool of every block, in the order they were measured. */
function poolsOf(blocks: ProfileInput['blocks']): Pick<Profile, 'pools'> {
  const pools = blocks.flatMap(({ block }) => block.pools ?? []);
  return pools.length === 0 ? {} : { pools };
}

/** Named only where there are any, so that profiles of applications all of our own stay as they are. */
function silentIn(visits: readonly Visit[]): Pick<Profile['traces'], 'silentComponents'> {
  const standsIn = ({ turn }: Visit) => turn?.span.attributes[attr.standIn] === true;
  const turns = visits.filter(({ turn }) => turn !== null);
  const seen = new Set(turns.filter((visit) => !standsIn(visit)).map(({ component }) => component));
  const silent = [...new Set(turns.filter(standsIn).map(({ component }) => component))].filter((name) => !seen.has(name)).sort();
  return silent.length === 0 ? {} : { silentComponents: silent };
}

/** Whole traces whose request began after the warm-up; all whole traces where none did (a replayed or shifted clock). */
function measured(block: Block, requests: readonly RequestTrace[]): RequestTrace[] {
  const whole = requests.filter((request) => request.unbroken);
  const warm = whole.filter((request) => request.root.startMs >= block.startedAtMs + block.warmupMs);
  return warm.length > 0 ? warm : whole;
}

function componentProfile(
  visits: readonly Visit[],
  costs: ReadonlyMap<Visit, VisitCost>,
  usualCpuMs: number,
  osCpuMs: number | null,
  requests: number,
): ComponentProfile {
  const turns = visits.filter(ran);
  const known = turns.flatMap((visit) => costs.get(visit)?.cpuMs ?? []);
  const failed = visits.filter((visit) => !(visit.turn ?? visit.call).span.ok).length;
  return {
    visitsPerRequest: turns.length / requests,
    cpuMs: distribution(known.length > 0 ? known : turns.length > 0 ? [usualCpuMs] : []),
    selfMs: distribution(
      turns.map((visit) => {
        const cost = costs.get(visit);
        return cost ? selfMsOf(cost, usualCpuMs) : 0;
      }),
    ),
    queueMs: distribution(turns.map((visit) => visit.queueMs)),
    heldMs: distribution(turns.map((visit) => (visit.turn ?? visit.call).span.durationMs)),
    errorRate: failed / visits.length,
    osCpuMs,
  };
}

/** CPU of the units that is neither a turn's own nor encoding of a hop: ingress, tracing, the protocol libraries. */
function overheadCpuMs(totalMs: number, components: Profile['components'], edges: Profile['edges']): number {
  const turns = Object.values(components).reduce((sum, { cpuMs, visitsPerRequest }) => sum + cpuMs.mean * visitsPerRequest, 0);
  const hops = Object.values(edges).reduce((sum, { serializeMs, callsPerRequest }) => sum + serializeMs.mean * callsPerRequest, 0);
  return Math.max(0, totalMs - turns - hops);
}

/** From the load where it is known, which sampling cannot skew. */
function classShares(blocks: ProfileInput['blocks'], requests: readonly RequestTrace[]): Profile['classShares'] {
  const counts = new Map<string, number>();
  const add = (name: string, count: number) => counts.set(name, (counts.get(name) ?? 0) + count);
  for (const { block } of blocks) for (const [name, result] of Object.entries(block.classes)) add(name, result.requests);
  if ([...counts.values()].every((count) => count === 0)) for (const { requestClass } of requests) add(requestClass, 1);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return Object.fromEntries([...counts].map(([name, count]) => [name, total > 0 ? count / total : 0]));
}
