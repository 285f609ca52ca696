import type { ProtocolPrice, StageContext, TraceDigest } from '../compiler/contracts/index.ts';
import { inferWorkflow } from '../profiler/analyze/infer-workflow.ts';
import { tracedRequests } from '../profiler/analyze/traced-requests.ts';
import { typicalWaterfall } from '../profiler/analyze/waterfall.ts';
import type { Analysis, Assumption } from '../reports/analysis.ts';
import type { PricesConfig } from '../scenarios/schema.ts';
import { openedFor } from './advice/candidates.ts';
import { processesOf } from './advice/compute.ts';
import { findingsOf } from './advice/findings.ts';
import { moneyOf } from './advice/money.ts';
import { qualityOf } from './advice/quality.ts';
import { layoutRoom, unseenEdges } from './advice/room.ts';
import { topologyOf } from './advice/topology.ts';
import { verdictOf } from './advice/verdict.ts';
import { whereItGoes } from './advice/where.ts';
import { plural } from './advice/words.ts';

export interface AdviceInput {
  readonly digest: TraceDigest;
  readonly pricing: PricesConfig;
  /** What a hop takes on this machine, for hops between processes that only one side traced (see `needsHopPrices`). */
  readonly protocolPrices: readonly ProtocolPrice[];
  /** Share of all requests that was traced; null when nobody said. */
  readonly sampledShare: number | null;
  readonly toolVersion: string;
  /** As typed, to be typed again. */
  readonly inputs: readonly string[];
  /** Savings below this share are not worth a change. */
  readonly marginShare: number;
}

/** What an application’s own traces say of its layout, with nothing deployed. Pure; all of it is modelled. */
export function adviseOn(input: AdviceInput, context: Pick<StageContext, 'signal' | 'seed'>): Analysis {
  const { digest, pricing, sampledShare } = input;
  const inferred = inferWorkflow(digest);
  const sampled = tracedRequests(digest, inferred);
  const processes = processesOf(inferred.baseline);
  const seconds = digest.window?.seconds ?? 0;
  const requests = digest.roots.reduce((sum, root) => sum + root.requests, 0);
  const tracedPerSecond = seconds > 0 ? requests / seconds : 0;
  const perSecond = tracedPerSecond / (sampledShare ?? 1);
  const money = moneyOf({ digest, pricing, processes, perSecond });
  const placed = new Set(inferred.baseline.units.flatMap((unit) => unit.components));
  const { room, changes } = layoutRoom(
    {
      inferred: { ...inferred, workflow: openedFor(inferred.workflow, placed) },
      mobility: new Map(inferred.components.map(({ name, mobility }) => [name, mobility])),
      sampled,
      digest,
      perSecond,
      money,
      pricing,
      protocolPrices: input.protocolPrices,
      sampledShare,
    },
    context,
  );
  const notLayout = findingsOf(digest, sampled, pricing);
  const where = whereItGoes(digest, inferred, money, pricing, room.cpuShare);
  const analysis = {
    schemaVersion: 1 as const,
    toolVersion: input.toolVersion,
    provenance: 'modelled' as const,
    source: {
      inputs: input.inputs,
      formats: [...new Set(digest.sources.map(({ format }) => format))].sort(),
      spans: digest.quality.spans,
      traces: digest.quality.traces,
      sampledTraces: sampled.length,
      fromMs: digest.window?.startMs ?? 0,
      toMs: digest.window?.endMs ?? 0,
      tracedPerSecond,
      sampledShare,
      rejected: digest.sources.flatMap((source) =>
        source.reasons.map(
          ({ reason, count, firstAt }) => `${plural(count, 'piece')} of ${source.name} not used: ${reason} (first at ${firstAt})`,
        ),
      ),
    },
    topology: topologyOf(digest, inferred),
    quality: qualityOf(digest, sampled.length),
    where,
    layout: room.layout,
    changes,
    notLayout,
    assumptions: assumptionsOf(input, room.cpuKnown, processes),
    questions: [...inferred.questions.map(({ question }) => question), ...outsideQuestion(digest)],
    ...(digest.outside === undefined || digest.outside.length === 0 ? {} : { outside: digest.outside }),
    waterfall: typicalWaterfall(
      sampled.map(({ trace }) => trace),
      'traced',
    ),
  };
  return { ...analysis, verdict: verdictOf(analysis, input.marginShare, input.inputs) };
}

/** Nothing that was only seen is allowed: somebody has to say so. */
function outsideQuestion({ outside = [] }: TraceDigest): string[] {
  if (outside.length === 0) return [];
  const shown = outside.slice(0, 12).map(({ by, place }) => `${by} -> ${place}`);
  const more = outside.length > shown.length ? ` and ${outside.length - shown.length} more` : '';
  return [`Which of these places outside may be called, to be written under rights.hosts of a scenario: ${shown.join(', ')}${more}?`];
}

/** Whether some hop was timed by nobody, so that the price of one bounds it. */
export function needsHopPrices(digest: TraceDigest): boolean {
  const inferred = inferWorkflow(digest);
  return unseenEdges({ inferred, digest }, new Set(inferred.baseline.units.flatMap((unit) => unit.components))).size > 0;
}

/** Everything the numbers rest on that no trace says, with what would replace it. */
function assumptionsOf({ pricing, sampledShare, digest, protocolPrices }: AdviceInput, cpuKnown: boolean, processes: number): Assumption[] {
  const out: Assumption[] = [];
  if (!cpuKnown && processes > 0)
    out.push({
      what: 'CPU of agents and tools',
      range: 'from none of their own time to all of it, as far as the busiest process kept up',
      source: 'no span says it',
      instead: 'a measurement: dmas-opt import, then dmas-opt run',
    });
  if (processes > 0) {
    out.push({
      what: 'Size of a process',
      range: '0.25 vCPU with 0.5 GB to 1 vCPU with 2 GB',
      source: 'smallest size AWS Fargate sells; one event loop uses about one core',
      instead: null,
    });
    out.push({
      what: 'Price of a process',
      range: `$${pricing.vcpuHourUsd} per vCPU hour, $${pricing.memoryGbHourUsd} per GB hour`,
      source: pricing.source,
      instead: '--prices',
    });
  }
  if (sampledShare === null)
    out.push({
      what: 'Load',
      range: 'every request was traced; if only a share was, processes are busier and cost less per request',
      source: 'traces do not say how they were sampled',
      instead: '--sampled 10%',
    });
  if (needsHopPrices(digest))
    out.push({
      what: 'Hops seen from one side only',
      range: `from nothing to ${protocolPrices.length > 0 ? 'what a hop of HTTP or gRPC takes on this machine' : 'nothing: no hop was measured'}, within the caller’s own time`,
      source: 'the other side sends no span',
      instead: 'tracing on both sides',
    });
  return out;
}
