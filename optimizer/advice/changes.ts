import type { Configuration, TracedRoot, UnitConfiguration } from '../../compiler/contracts/index.ts';
import type { LayoutChange, Range } from '../../reports/analysis.ts';
import { processesOf } from './compute.ts';
import { callsOf } from './replay.ts';
import type { JudgedLayout, RoomInput } from './room.ts';
import { listed, ms, plural } from './words.ts';

export interface ChangeInput extends Pick<RoomInput, 'mobility' | 'sampled' | 'money' | 'sampledShare'> {
  readonly baseline: Configuration;
  /** Root with most requests; its latency stands for the change. */
  readonly main: TracedRoot;
  /** No change saves more than any could. */
  readonly most: number;
}

export interface RankedChange {
  readonly change: LayoutChange;
  /** Product of what is left of latency and of compute, as a logarithm: larger is better, 0 is no change. */
  readonly score: number;
  /** How many things it changes. */
  readonly steps: number;
}

/** A judged layout as a change a person can make. */
export function changeOf({ layout, classes, compute }: JudgedLayout, input: ChangeInput): RankedChange {
  const { baseline, main, money, most } = input;
  const given = classes[main.name]?.share ?? { low: 0, high: 0 };
  const latency = { low: Math.min(given.low, most), high: Math.min(given.high, most) };
  const joined = layout.units.filter((unit) => !baseline.units.some((old) => old.id === unit.id));
  const fewer = layout.units.flatMap((unit) => {
    const old = baseline.units.find(({ id }) => id === unit.id);
    return old && old.replicas !== unit.replicas ? [{ unit, before: old.replicas }] : [];
  });
  const usd = money.find(({ kind }) => kind === 'agents')?.usdPer1000 ?? null;
  const middle = ({ low, high }: Range) => (low + high) / 2;
  return {
    steps: joined.reduce((sum, unit) => sum + parts(unit, baseline).length - 1, 0) + fewer.length,
    score: -Math.log(Math.max(1e-9, (1 - middle(latency)) * (1 - middle(compute)))),
    change: {
      title: titleOf(layout, joined, fewer, baseline),
      why: whyOf(joined, layout, input),
      latencySavingShare: latency,
      latencySavingMs: { low: latency.low * main.latency.p50Ms, high: latency.high * main.latency.p50Ms },
      computeSavingShare: compute,
      usdPer1000Saving: usd && scaled(usd, compute),
      processes: processesOf(layout),
      who: joined.every((unit) => unit.components.every((name) => input.mobility.get(name) === 'movable')) ? 'dmas-opt' : 'you',
      risk: riskOf(joined, fewer, latency, input),
    },
  };
}

const scaled = (usd: Range, share: Range): Range => ({
  low: Math.min(share.low * usd.low, share.low * usd.high),
  high: Math.max(share.high * usd.low, share.high * usd.high),
});

const parts = (unit: UnitConfiguration, baseline: Configuration) =>
  baseline.units.filter((old) => old.components.some((name) => unit.components.includes(name)));

function titleOf(
  layout: Configuration,
  joined: readonly UnitConfiguration[],
  fewer: readonly { readonly unit: UnitConfiguration; readonly before: number }[],
  baseline: Configuration,
): string {
  if (layout.units.length === 1 && baseline.units.length > 1 && baseline.units.length > 2)
    return `Put all ${baseline.units.length} processes into one: ${listed(layout.units[0]?.components ?? [], 6)}`;
  const joins = joined.map((unit, i) => `${i === 0 ? 'Put' : 'put'} ${listed(unit.components, 6)} in one process`);
  const replicas = fewer.map(
    ({ unit, before }, i) =>
      `${i === 0 && joins.length === 0 ? 'Run' : 'run'} ${unit.replicas} instead of ${before} of ${listed(unit.components)}`,
  );
  return [...joins, ...replicas].join(', and ');
}

/** The hops that go away, by the time a request spends in them. */
function whyOf(joined: readonly UnitConfiguration[], layout: Configuration, { sampled, baseline }: ChangeInput): string {
  const hops = new Map<string, { calls: number; ms: number }>();
  const unit = (configuration: Configuration, name: string) => configuration.units.find(({ components }) => components.includes(name))?.id;
  for (const { request } of sampled) {
    for (const { from, call } of callsOf(request.root)) {
      const to = call.visit.component;
      if (unit(layout, from) === undefined || unit(layout, from) !== unit(layout, to) || unit(baseline, from) === unit(baseline, to))
        continue;
      const entry = hops.get(`${from} to ${to}`) ?? { calls: 0, ms: 0 };
      hops.set(`${from} to ${to}`, entry);
      entry.calls++;
      entry.ms += call.hopMs;
    }
  }
  const n = Math.max(1, sampled.length);
  const [was, is] = [processesOf(baseline), processesOf(layout)];
  const fewer = was === is ? '' : `${plural(was, 'process', 'processes')} become${was === 1 ? 's' : ''} ${is}.`;
  if (joined.length === 0 || hops.size === 0) return fewer;
  const sorted = [...hops].sort(([, a], [, b]) => b.ms - a.ms);
  const total = sorted.reduce((sum, [, hop]) => sum + hop.ms, 0) / n;
  const names = listed(
    sorted.map(([edge, hop]) => `${edge} (${ms(hop.ms / n)})`),
    4,
  );
  return `Per request ${ms(total)} of hops go away: ${names}. ${fewer}`.trim();
}

function riskOf(
  joined: readonly UnitConfiguration[],
  fewer: readonly { readonly unit: UnitConfiguration }[],
  latency: Range,
  { mobility, sampledShare, baseline }: ChangeInput,
): string | null {
  const risks: string[] = [];
  const stuck = joined.flatMap((unit) => unit.components).filter((name) => mobility.get(name) !== 'movable');
  if (stuck.length > 0) risks.push(`${listed(stuck)} must be joined by their owners: dmas-opt does not build them into one process.`);
  if (latency.low < 0) risks.push('If their own time is mostly CPU, they get in each other’s way and requests may take longer.');
  if (joined.some((unit) => new Set(parts(unit, baseline).map(({ replicas }) => replicas)).size > 1))
    risks.push('They have different numbers of processes now; the joined one is taken to need the larger.');
  if (fewer.length > 0 && sampledShare !== null) risks.push('At the traced load; peaks need more.');
  return risks.length > 0 ? risks.join(' ') : null;
}
