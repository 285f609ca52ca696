import type {
  BlockFault,
  BlockQuality,
  ClassResult,
  Incident,
  LoadFacts,
  ProcessUsage,
  ReplayFacts,
  Sample,
} from '../../compiler/contracts/measurement.ts';
import { entryComponent, type Workflow } from '../../compiler/contracts/workflow.ts';
import { calleeOf } from '../analyze/node.ts';
import type { Forest } from '../analyze/tree.ts';

/** Above this the cores are contended, and latency says more about the host than about the layout. */
export const hostBusyLimit = 0.8;
/**
 * A late send shortens nothing, because latency counts from the intended time; but it adds the driver's lateness to it.
 * 5 ms is far above what timers and a busy event loop cost (under 2 ms at p99 when idle), and below 10 % of the median
 * it stays small against what is measured.
 */
export const lagLimitMs = 5;
export const lagShareOfP50 = 0.1;
/** Below this share the layout was measured under another load than its rivals. */
export const deliveredLimit = 0.95;
/** With more errors than right answers the latencies are those of a lucky minority. */
export const errorLimit = 0.5;
/** Below this share of whole traces, what is missing from them may be what matters. */
export const unbrokenLimit = 0.95;
/** Traces needed before an absence says something. */
export const tracesForAbsence = 20;

export interface QualityInput {
  readonly workflow: Workflow;
  readonly load: LoadFacts;
  readonly classes: { readonly [requestClass: string]: ClassResult };
  /** Samples outside the warm-up. */
  readonly counted: readonly Sample[];
  readonly usage: readonly ProcessUsage[];
  readonly incidents: readonly Incident[];
  readonly forest: Forest;
  readonly replay?: ReplayFacts;
  /** Share of replayed calls that may miss; default 0. */
  readonly missRateLimit?: number;
  readonly interrupted?: boolean;
  /** Why the load was taken off a pool of models, where it was. */
  readonly poolLimit?: string;
}

/** Whether a verdict may rest on the block, and if not, every reason with its numbers. */
export function blockQuality(input: QualityInput): BlockQuality {
  const { load, classes, counted, incidents, usage, forest } = input;
  const faults: { fault: BlockFault; detail: string }[] = [];
  const say = (fault: BlockFault, detail: string) => faults.push({ fault, detail });

  if (input.interrupted) say('interrupted', 'The block was interrupted before its time was over.');
  if (counted.length === 0) say('no-samples', 'No request was sent after the warm-up.');

  if (load.hostCpuFraction > hostBusyLimit)
    say('host-bound', `The host was ${percent(load.hostCpuFraction)} busy; above ${percent(hostBusyLimit)} it is what is measured.`);

  const fastestP50 = Math.min(...Object.values(classes).flatMap(({ latencyMs }) => latencyMs?.p50 ?? []));
  const lagLimit = Math.max(lagLimitMs, Number.isFinite(fastestP50) ? lagShareOfP50 * fastestP50 : 0);
  if (load.lagP99Ms > lagLimit)
    say('driver-lag', `Sends were up to ${ms(load.lagP99Ms)} late (p99); at most ${ms(lagLimit)} is accepted beside these latencies.`);

  if (load.deliveredPerSecond < deliveredLimit * load.offeredPerSecond)
    say(
      'load-not-delivered',
      `${rate(load.deliveredPerSecond)} of ${rate(load.offeredPerSecond)} were sent; at least ${percent(deliveredLimit)} is needed.`,
    );

  const wrong = counted.filter((sample) => sample.outcome !== 'ok').length;
  if (counted.length > 0 && wrong / counted.length > errorLimit)
    say(
      'errors',
      `${wrong} of ${counted.length} requests had no right answer (${commonErrors(classes)}); above ${percent(errorLimit)} nothing can be said.`,
    );

  if (forest.traces > 0 && forest.unbrokenShare < unbrokenLimit)
    say(
      'broken-traces',
      `${percent(forest.unbrokenShare)} of ${forest.traces} traces are whole; at least ${percent(unbrokenLimit)} is needed.`,
    );

  for (const component of missingComponents(input.workflow, forest))
    say(
      'component-missing',
      `${component} was called on by every request of the workflow's fixed part, but is in none of ${forest.requests.length} traces.`,
    );

  const missed = input.replay === undefined ? undefined : missesOf(input.replay, input.missRateLimit ?? 0);
  if (missed !== undefined) say('replay-misses', missed);

  if (input.poolLimit !== undefined) say('pool-limit', input.poolLimit);

  const lost = new Set([
    ...incidents.map(({ unit, replica, what }) => `${unit}#${replica} ${what}`),
    ...usage.filter(({ restarts }) => restarts > 0).map(({ id, replica }) => `${id}#${replica} restarted`),
  ]);
  if (lost.size > 0) say('replica-lost', `Replicas did not stay up: ${[...lost].join(', ')}.`);

  return { valid: faults.length === 0, faults };
}

/** Why a replay does not stand for the recording: who missed how often; undefined when it does. */
function missesOf({ requests, misses }: ReplayFacts, limit: number): string | undefined {
  const byCaller = Object.entries(misses).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const total = byCaller.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0 || total <= limit * requests) return undefined;
  const who = byCaller.map(([caller, count]) => `${caller} ${count}`).join(', ');
  return `${total} of ${requests} replayed calls had no recorded reply (${who}); at most ${percent(limit)} may miss.`;
}

/**
 * Components that certainly take part in every request and were not seen in enough whole traces. Dynamic calls,
 * conditional edges and tools may rightly stay unused, so only the entry and what follows it unconditionally count.
 */
export function missingComponents(workflow: Workflow, forest: Forest): string[] {
  const whole = forest.requests.filter((request) => request.unbroken && request.root.span.ok);
  if (whole.length < tracesForAbsence) return [];
  const seen = new Set(whole.flatMap(({ nodes }) => nodes.flatMap((node) => (node.role === 'call' ? [calleeOf(node)] : []))));
  return certainComponents(workflow).filter((component) => !seen.has(component));
}

/** The entry component; from a graph agent also its start node and all that unconditional edges lead to. */
export function certainComponents(workflow: Workflow): string[] {
  const certain = new Set([entryComponent(workflow)]);
  for (const graph of workflow.graphs) {
    if (!certain.has(graph.agent)) continue;
    certain.add(graph.start);
    for (let size = -1; size !== certain.size; ) {
      size = certain.size;
      for (const edge of graph.edges) {
        if (edge.conditional || !edge.from.every((node) => certain.has(node))) continue;
        for (const node of edge.to) if (graph.nodes.includes(node)) certain.add(node);
      }
    }
  }
  const components = new Set([...workflow.agents, ...workflow.toolServers].map(({ name }) => name));
  return [...certain].filter((name) => components.has(name));
}

function commonErrors(classes: QualityInput['classes']): string {
  const counts = new Map<string, number>();
  for (const { errors } of Object.values(classes))
    for (const [kind, n] of Object.entries(errors)) counts.set(kind, (counts.get(kind) ?? 0) + n);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([kind, n]) => `${n} ${kind}`)
    .join(', ');
}

const percent = (share: number) => `${Math.round(share * 100)} %`;
const ms = (value: number) => `${value.toFixed(1)} ms`;
const rate = (value: number) => `${value.toFixed(1)} requests/s`;
