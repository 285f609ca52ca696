import {
  type Configuration,
  canonicalConfiguration,
  configurationId,
  type Mobility,
  type ProtocolPrice,
  type StageContext,
  type TraceDigest,
} from '../../compiler/contracts/index.ts';
import type { InferredWorkflow } from '../../profiler/analyze/infer-workflow.ts';
import type { SampledRequest } from '../../profiler/analyze/traced-requests.ts';
import type { LayoutChange, LayoutRoom, MoneyLine, Range } from '../../reports/analysis.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import { serversFor, waitMs } from '../predict/queueing.ts';
import { candidateLayouts, joinability } from './candidates.ts';
import { changeOf } from './changes.ts';
import { computeSaving, processesOf, withReplicasFor } from './compute.ts';
import { visitsOf } from './replay.ts';
import { type ClassSaving, createSavings } from './savings.ts';
import { listed } from './words.ts';
import { possibleCpuShare, worldOf } from './worlds.ts';

export interface RoomInput {
  /** With a workflow in which everything that is deployed may be joined. */
  readonly inferred: InferredWorkflow;
  /** What dmas-opt itself could do with each. */
  readonly mobility: ReadonlyMap<string, Mobility>;
  readonly sampled: readonly SampledRequest[];
  readonly digest: TraceDigest;
  readonly perSecond: number;
  readonly money: readonly MoneyLine[];
  readonly pricing: PricesConfig;
  readonly protocolPrices: readonly ProtocolPrice[];
  readonly sampledShare: number | null;
}

export interface Room {
  readonly layout: LayoutRoom;
  /** Of own time without a CPU figure, what can be CPU at most. */
  readonly cpuShare: number;
  readonly cpuKnown: boolean;
}

/** A layout with what it saves. */
export interface JudgedLayout {
  readonly layout: Configuration;
  readonly classes: { readonly [requestClass: string]: ClassSaving };
  readonly compute: Range;
}

const mostChanges = 3;
/** A change that cannot save this much at its best is not told. */
const tellShare = 0.001;

/** What any layout could change, and the changes that are worth most. */
export function layoutRoom(
  input: RoomInput,
  context: Pick<StageContext, 'signal' | 'seed'>,
): { readonly room: Room; readonly changes: readonly LayoutChange[] } {
  const { inferred, sampled, digest, perSecond, pricing, money } = input;
  const { baseline } = inferred;
  const requests = sampled.map(({ request }) => request);
  const own = new Set(baseline.units.flatMap((unit) => unit.components));
  const rates = Object.fromEntries(
    [...new Set(requests.map(({ requestClass }) => requestClass))].map((name) => {
      const share = requests.filter(({ requestClass }) => requestClass === name).length / requests.length;
      return [name, share * perSecond];
    }),
  );
  const unseenHops = {
    edges: unseenEdges(input, own),
    mostMs: Math.max(0, ...input.protocolPrices.map(({ latencyFixedMs }) => latencyFixedMs)),
  };
  const world = { workflow: inferred.workflow, baseline, requests, own, perSecond: rates, pricing, unseenHops, seed: context.seed };
  const cpuShare = possibleCpuShare(world);
  const cpuKnown = digest.components
    .filter(({ name }) => own.has(inferred.holderOf[name] ?? ''))
    .every(({ cpuMsPerCall }) => cpuMsPerCall !== null);
  const nothing = nothingToArrange(input) ?? nothingToJudge(input);
  if (nothing !== null || requests.length === 0) {
    const judged = nothingToArrange(input) !== null;
    return { room: { layout: { latency: [], compute: null, cost: null, nothing, judged }, cpuShare, cpuKnown }, changes: [] };
  }
  const kind = worldOf('kind', world);
  const hard = worldOf('hard', world);
  const savings = createSavings(kind, hard, own, context.seed);
  const busyCores = busyPerComponent(requests, own, perSecond);
  const hardBusy = (name: string) => (busyCores.get(name)?.wall ?? 0) * cpuShare;
  const layouts = [...candidateLayouts(inferred, hard, context.signal, context.seed), ...fewerReplicas(input, kind.baseline, hardBusy)];
  const judged: JudgedLayout[] = [...new Map(layouts.map((layout) => [configurationId(layout), layout])).values()].map((layout) => {
    const hardLayout = withReplicasFor(layout, hardBusy);
    return { layout, classes: savings.of(layout, hardLayout), compute: computeSaving(kind.baseline, layout, hardLayout, pricing) };
  });

  const joinable = joinability(inferred);
  const wallCores = [...busyCores.values()].reduce((sum, { wall }) => sum + wall, 0) * cpuShare;
  const bounds = savings.bound(joinable, mostWaiting(wallCores));
  const latency = digest.roots
    .filter(({ name }, i, all) => bounds[name] !== undefined && all.findIndex((other) => other.name === name) === i)
    .map(({ name, latency: { p50Ms } }) => {
      const low = Math.max(0, ...judged.map(({ classes }) => classes[name]?.share.low ?? 0));
      const high = Math.max(low, bounds[name]?.share.high ?? 0);
      return { requestClass: name, nowMs: p50Ms, savingShare: { low, high }, savingMs: { low: low * p50Ms, high: high * p50Ms } };
    });
  const compute = computeRoom(kind.baseline, judged, joinable, busyCores);
  return {
    room: { layout: { latency, compute, cost: costRoom(money, compute.savingShare), nothing: null, judged: true }, cpuShare, cpuKnown },
    changes: bestChanges(judged, input, kind.baseline, bounds),
  };
}

/** Calls between processes of one's own that only one side traced, so that the hop was not timed. */
export function unseenEdges({ inferred, digest }: Pick<RoomInput, 'inferred' | 'digest'>, own: ReadonlySet<string>): ReadonlySet<string> {
  const holder = (name: string) => inferred.holderOf[name] ?? name;
  return new Set(
    digest.edges
      .filter((edge) => edge.gap === null && edge.sameInstanceShare < 1 && own.has(holder(edge.from)) && own.has(holder(edge.to)))
      .map((edge) => `${holder(edge.from)}->${holder(edge.to)}`),
  );
}

/** Why no layout could change anything; null when one could. */
function nothingToArrange({ inferred, mobility }: RoomInput): string | null {
  const { baseline, components } = inferred;
  const placed = baseline.units.flatMap((unit) => unit.components);
  if (placed.length === 0) return 'Nothing that sends spans is deployed by you: there is nothing to place.';
  const replicas = baseline.units[0]?.replicas ?? 1;
  if (placed.length === 1 && components.filter(({ name }) => mobility.get(name) !== 'external').length === 1)
    return `Only ${placed[0]} was seen from inside: with one component there is nothing to arrange${replicas > 1 ? ` but its ${replicas} processes` : ''}.`;
  if (baseline.units.length === 1)
    return `Everything that was seen from inside (${listed(placed)}) runs in one process already: there is no hop a layout could take away.`;
  const canJoin = joinability(inferred);
  const possible = baseline.units.some((a, i) =>
    baseline.units.slice(i + 1).some((b) => a.components.every((left) => b.components.every((right) => canJoin(left, right)))),
  );
  if (!possible && baseline.units.every((each) => each.replicas === 1))
    return 'No two of the processes are written in the same language, so none of them can be joined.';
  return null;
}

/** Why the traces cannot tell whether a layout would change anything; null when they can. */
function nothingToJudge({ inferred: { baseline, edges }, sampled, digest }: RoomInput): string | null {
  if (sampled.length === 0) return `None of the ${digest.quality.traces} traces is whole and ended well, so no latency can be judged.`;
  const unit = new Map(baseline.units.flatMap((each) => each.components.map((name) => [name, each.id] as const)));
  const crossing = edges.filter(({ from, to }) => unit.has(from) && unit.has(to) && unit.get(from) !== unit.get(to));
  if (crossing.length > 0) return null;
  return `No call between the ${baseline.units.length} processes that send spans (${listed([...unit.keys()])}) was seen, so nothing can be said of joining them.`;
}

function busyPerComponent(requests: readonly SampledRequest['request'][], own: ReadonlySet<string>, perSecond: number) {
  const busy = new Map<string, { wall: number; cpu: number }>();
  for (const { root } of requests) {
    for (const visit of visitsOf(root)) {
      if (!own.has(visit.component)) continue;
      const entry = busy.get(visit.component) ?? { wall: 0, cpu: 0 };
      busy.set(visit.component, entry);
      for (const phase of visit.phases) {
        entry.wall += ((phase.cpuMs > 0 ? phase.cpuMs : phase.selfMs) * perSecond) / 1000 / requests.length;
        entry.cpu += (phase.cpuMs * perSecond) / 1000 / requests.length;
      }
    }
  }
  return busy;
}

/** Two processes of a unit stay, so that one may die; only where the load is known. */
function fewerReplicas({ sampledShare }: RoomInput, baseline: Configuration, busyCores: (name: string) => number): Configuration[] {
  if (sampledShare === null) return [];
  return baseline.units.flatMap((unit) => {
    const needed = Math.max(2, serversFor(unit.components.reduce((sum, name) => sum + busyCores(name), 0)));
    if (needed >= unit.replicas) return [];
    return [
      canonicalConfiguration({ ...baseline, units: baseline.units.map((each) => (each === unit ? { ...each, replicas: needed } : each)) }),
    ];
  });
}

/** Share of own time that may be waiting for a processor: as on a host that has just the cores it needs, all of it CPU. */
function mostWaiting(busyCores: number): number {
  const cores = serversFor(busyCores);
  const wait = waitMs(busyCores / cores, cores, 1, 1);
  return wait / (1 + wait);
}

function computeRoom(
  baseline: Configuration,
  judged: readonly JudgedLayout[],
  joinable: (a: string, b: string) => boolean,
  busy: ReadonlyMap<string, { readonly cpu: number }>,
): NonNullable<LayoutRoom['compute']> {
  const now = processesOf(baseline);
  const groups: string[][] = [];
  for (const { components } of baseline.units) {
    const host = groups.find((group) => group.every((a) => components.every((b) => joinable(a, b))));
    if (host) host.push(...components);
    else groups.push([...components]);
  }
  const fewest = groups.reduce((sum, group) => sum + serversFor(group.reduce((cores, name) => cores + (busy.get(name)?.cpu ?? 0), 0)), 0);
  const least = Math.min(now, fewest);
  const low = Math.max(0, ...judged.map(({ compute }) => compute.low));
  const sure = judged.reduce(
    (best, { compute, layout }) => (compute.low > 0 && compute.low === low ? Math.min(best, processesOf(layout)) : best),
    now,
  );
  return { savingShare: { low, high: Math.max(low, 1 - least / now) }, processesNow: now, processesThen: { low: least, high: sure } };
}

/** Of everything priced; what has no price may be any amount, so the low end is then nothing. */
function costRoom(money: readonly MoneyLine[], compute: Range): LayoutRoom['cost'] {
  const agents = money.find(({ kind }) => kind === 'agents')?.usdPer1000;
  if (!agents) return null;
  const rest = money.filter(({ kind, usdPer1000 }) => kind !== 'agents' && usdPer1000 !== null);
  const unpriced = money.some(({ usdPer1000 }) => usdPer1000 === null);
  const sum = (end: 'low' | 'high') => rest.reduce((total, { usdPer1000 }) => total + (usdPer1000?.[end] ?? 0), 0);
  const share = (usd: number, others: number) => (usd + others > 0 ? usd / (usd + others) : 0);
  return {
    nowUsdPer1000: { low: agents.low + sum('low'), high: agents.high + sum('high') },
    savingShare: {
      low: unpriced ? 0 : compute.low * share(agents.low, sum('high')),
      high: compute.high * share(agents.high, sum('low')),
    },
    savingUsdPer1000: { low: compute.low * agents.low, high: compute.high * agents.high },
    unpriced,
  };
}

/** The best of all first, then the best single steps. */
function bestChanges(
  judged: readonly JudgedLayout[],
  input: RoomInput,
  baseline: Configuration,
  bounds: { readonly [requestClass: string]: ClassSaving },
): LayoutChange[] {
  const main = [...input.digest.roots].filter(({ name }) => bounds[name]).sort((a, b) => b.requests - a.requests)[0];
  if (!main) return [];
  const changes = judged
    .map((each) => changeOf(each, { ...input, baseline, main, most: bounds[main.name]?.share.high ?? 0 }))
    .filter(({ change }) => change.latencySavingShare.high > tellShare || change.computeSavingShare.high > tellShare)
    .sort((a, b) => b.score - a.score || a.steps - b.steps || (a.change.title < b.change.title ? -1 : 1));
  const [best, ...rest] = changes;
  if (!best) return [];
  const steps = rest.filter((each) => each.steps === 1 && each.change.title !== best.change.title);
  const others = rest.filter((each) => !steps.includes(each));
  const titles = new Set<string>();
  return [best, ...steps, ...others]
    .filter(({ change }) => !titles.has(change.title) && titles.add(change.title))
    .slice(0, mostChanges)
    .map(({ change }) => change);
}
