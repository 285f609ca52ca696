import { type Configuration, type Profile, type ProtocolPrice, unitOf, type Workflow } from '../compiler/contracts/index.ts';
import type { PricesConfig } from '../scenarios/schema.ts';
import { compileProfile } from './predict/compiled-profile.ts';
import { demandOf } from './predict/demand.ts';
import { createPriceLookup } from './predict/layout.ts';
import { allocatedUsdPerHour } from './predict/pricing.ts';
import type { Simulation, Simulator, WhatIf } from './predict/simulated.ts';

export interface ExplainInput {
  readonly baseline: Configuration;
  readonly winner: Configuration;
  readonly profile: Profile;
  readonly workflow: Workflow;
  readonly prices: readonly ProtocolPrice[];
  readonly pricing: PricesConfig;
  readonly simulator: Simulator;
}

/** What one hop costs a mean request, and whether the winner still has it. */
export interface HopChange {
  readonly edge: string;
  readonly protocol: string;
  readonly change: 'gone' | 'new' | 'other protocol';
  readonly callsPerRequest: number;
  /** Idle latency and bytes per request on the side that has the hop; for another protocol the difference, old minus new. */
  readonly msPerRequest: number;
  readonly bytesPerRequest: number;
}

/** What making one thing twice as fast would give end to end. */
export interface Sensitivity {
  readonly kind: 'component' | 'edge' | 'model';
  readonly name: string;
  /** Share of mean latency saved, the mean over classes. */
  readonly latencySavingShare: number;
}

export interface Explanation {
  readonly sentences: readonly string[];
  readonly hops: readonly HopChange[];
  /** Wait for event loops per request, in ms. */
  readonly queueing: { readonly beforeMs: number; readonly afterMs: number };
  readonly usdPerHour: { readonly before: number; readonly after: number };
  /** Of the winner, largest first. */
  readonly sensitivities: readonly Sensitivity[];
}

/** Below this a change is not worth a sentence. */
const tellMs = 0.01;
const tellShare = 0.01;

/** Why the winner differs from the baseline, in numbers and plain sentences. All figures are modelled. */
export function explain(input: ExplainInput): Explanation {
  const { baseline, winner, pricing, simulator } = input;
  const before = simulator.run(baseline);
  const after = simulator.run(winner);
  const hops = hopChanges(input);
  const queueing = { beforeMs: sum(before.loopWaitMsPerRequest), afterMs: sum(after.loopWaitMsPerRequest) };
  const usdPerHour = { before: allocatedUsdPerHour(baseline, pricing), after: allocatedUsdPerHour(winner, pricing) };
  const sensitivities = sensitivitiesOf(input, after);
  return {
    sentences: [
      ...hopSentences(hops),
      ...queueingSentences(queueing, before, after),
      ...costSentences(input, usdPerHour),
      ...sensitivitySentences(sensitivities),
    ],
    hops,
    queueing,
    usdPerHour,
    sensitivities,
  };
}

function hopChanges({ baseline, winner, profile, workflow, prices }: ExplainInput): readonly HopChange[] {
  const compiled = compileProfile(profile, workflow);
  const demand = demandOf(compiled);
  const priceOf = createPriceLookup(prices);
  const shares = compiled.classes.map((name) => profile.classShares[name] ?? 1 / compiled.classes.length);
  const mean = (pick: (classId: number) => number) => shares.reduce((total, share, classId) => total + share * pick(classId), 0);
  const changes: HopChange[] = [];
  compiled.edges.forEach((edge, e) => {
    const [from, to] = [compiled.components[edge.from] ?? '', compiled.components[edge.to] ?? ''];
    const waited = mean((k) => demand[k]?.waitedCalls[e] ?? 0);
    const calls = waited + mean((k) => demand[k]?.oneWayCalls[e] ?? 0);
    const kb = mean((k) => (demand[k]?.requestKb[e] ?? 0) + (demand[k]?.responseKb[e] ?? 0));
    if (calls === 0) return;
    const costOf = (configuration: Configuration) => {
      const price = priceOf(edge.channel, configuration);
      return calls * price.latencyFixedMs + kb * price.latencyPerKbMs;
    };
    const settingOf = (configuration: Configuration) => configuration.channels[edge.channel]?.protocol ?? '';
    // A step of a graph that shares the call of the step before it makes no hop of its own.
    const before = edge.follows === undefined ? undefined : compiled.components[edge.follows.component];
    const hops = (configuration: Configuration) =>
      apart(configuration, from, to) && (before === undefined || apart(configuration, before, to));
    const had = hops(baseline);
    const has = hops(winner);
    const row = { edge: `${from}->${to}`, callsPerRequest: calls, bytesPerRequest: kb * 1024 };
    if (had && !has) changes.push({ ...row, protocol: settingOf(baseline), change: 'gone', msPerRequest: costOf(baseline) });
    else if (!had && has) changes.push({ ...row, protocol: settingOf(winner), change: 'new', msPerRequest: costOf(winner) });
    else if (had && has && settingOf(baseline) !== settingOf(winner))
      changes.push({ ...row, protocol: settingOf(winner), change: 'other protocol', msPerRequest: costOf(baseline) - costOf(winner) });
  });
  return merged(changes).sort((a, b) => b.msPerRequest - a.msPerRequest || (a.edge < b.edge ? -1 : 1));
}

/** One row per edge and change: steps of a graph that follow different ones are edges of their own to the predictor. */
function merged(changes: readonly HopChange[]): HopChange[] {
  const rows = new Map<string, HopChange>();
  for (const change of changes) {
    const key = `${change.edge} ${change.change} ${change.protocol}`;
    const known = rows.get(key);
    const sum = (name: 'callsPerRequest' | 'bytesPerRequest' | 'msPerRequest') => (known?.[name] ?? 0) + change[name];
    rows.set(key, {
      ...change,
      callsPerRequest: sum('callsPerRequest'),
      bytesPerRequest: sum('bytesPerRequest'),
      msPerRequest: sum('msPerRequest'),
    });
  }
  return [...rows.values()];
}

function apart(configuration: Configuration, from: string, to: string): boolean {
  if (from === to) return false;
  try {
    return unitOf(configuration, from).id !== unitOf(configuration, to).id;
  } catch {
    // One end is external: always another process, in every layout.
    return true;
  }
}

function hopSentences(hops: readonly HopChange[]): string[] {
  const out: string[] = [];
  const list = (change: HopChange['change']) => hops.filter((hop) => hop.change === change && Math.abs(hop.msPerRequest) >= tellMs);
  const gone = list('gone');
  if (gone.length > 0) {
    const names = gone.slice(0, 3).map((hop) => `${hop.edge} (${ms(hop.msPerRequest)}, ${bytes(hop.bytesPerRequest)})`);
    const more = gone.length > 3 ? ` and ${gone.length - 3} more` : '';
    out.push(`Calls that no longer leave the process: ${names.join(', ')}${more}; together ${ms(total(gone))} of hops per request.`);
  }
  const added = list('new');
  if (added.length > 0)
    out.push(`New hops between processes: ${added.map((hop) => hop.edge).join(', ')}; together ${ms(total(added))} per request.`);
  for (const hop of list('other protocol'))
    out.push(
      `${hop.edge} now speaks ${hop.protocol}: ${ms(Math.abs(hop.msPerRequest))} ${hop.msPerRequest > 0 ? 'less' : 'more'} per request.`,
    );
  return out;
}

function queueingSentences(queueing: Explanation['queueing'], before: Simulation, after: Simulation): string[] {
  const difference = queueing.beforeMs - queueing.afterMs;
  if (Math.abs(difference) < tellMs) return [];
  const [unit, wait] = largest(difference > 0 ? before.loopWaitMsPerRequest : after.loopWaitMsPerRequest);
  const busiest = Math.max(0, ...Object.values(after.prediction.utilization));
  return [
    `Waiting for busy event loops ${difference > 0 ? 'falls' : 'rises'} from ${ms(queueing.beforeMs)} to ${ms(queueing.afterMs)} per request, ` +
      `${difference > 0 ? 'most of it at' : 'most of it now at'} ${unit} (${ms(wait)}); the busiest unit is at ${percent(busiest)}.`,
  ];
}

function costSentences({ baseline, winner }: ExplainInput, usd: Explanation['usdPerHour']): string[] {
  const processes = (configuration: Configuration) => configuration.units.reduce((n, unit) => n + unit.replicas, 0);
  const [was, is] = [processes(baseline), processes(winner)];
  if (was === is && Math.abs(usd.before - usd.after) <= 1e-9 * usd.before) return [];
  return [
    `${plural(was, 'process', 'processes')} become${was === 1 ? 's' : ''} ${is}: allocated resources go from ` +
      `${usd.before.toFixed(4)} to ${usd.after.toFixed(4)} USD per hour.`,
  ];
}

/** Halves each thing in turn under the same arrivals, so that the difference is its doing (the question of Coz, SOSP '15). */
function sensitivitiesOf({ winner, profile, simulator }: ExplainInput, base: Simulation): readonly Sensitivity[] {
  const baseMs = base.prediction.classes;
  const gain = (whatIf: WhatIf) => {
    const faster = simulator.run(winner, whatIf).prediction.classes;
    const shares = Object.entries(baseMs).map(([name, { meanMs }]) => 1 - (faster[name]?.meanMs.point ?? meanMs.point) / meanMs.point);
    return shares.reduce((a, b) => a + b, 0) / Math.max(1, shares.length);
  };
  const crossing = Object.keys(profile.edges).filter((edge) => {
    const [from = '', to = ''] = edge.split('->');
    return apart(winner, from, to);
  });
  const out: Sensitivity[] = [
    ...Object.keys(profile.components).map((name) => ({
      kind: 'component' as const,
      name,
      latencySavingShare: gain({ components: { [name]: 0.5 } }),
    })),
    ...crossing.map((name) => ({ kind: 'edge' as const, name, latencySavingShare: gain({ edges: { [name]: 0.5 } }) })),
    ...Object.keys(profile.models).map((name) => ({ kind: 'model' as const, name, latencySavingShare: gain({ models: { [name]: 0.5 } }) })),
  ];
  return out.sort((a, b) => b.latencySavingShare - a.latencySavingShare || (a.name < b.name ? -1 : 1));
}

function sensitivitySentences(sensitivities: readonly Sensitivity[]): string[] {
  return sensitivities
    .filter((entry) => entry.latencySavingShare >= tellShare)
    .slice(0, 3)
    .map((entry) => {
      const what = entry.kind === 'edge' ? `the hop ${entry.name}` : `${entry.kind === 'model' ? 'the model ' : ''}${entry.name}`;
      return `Making ${what} twice as fast would take ${percent(entry.latencySavingShare)} off the latency.`;
    });
}

const sum = (values: { readonly [key: string]: number }): number => Object.values(values).reduce((a, b) => a + b, 0);
const total = (hops: readonly HopChange[]): number => hops.reduce((a, hop) => a + hop.msPerRequest, 0);
const largest = (values: { readonly [key: string]: number }): [string, number] =>
  Object.entries(values).reduce<[string, number]>((top, entry) => (entry[1] > top[1] ? entry : top), ['', 0]);
const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
const bytes = (value: number): string => (value < 1024 ? `${Math.round(value)} B` : `${(value / 1024).toFixed(value < 10240 ? 1 : 0)} KB`);
const plural = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;
