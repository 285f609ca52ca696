import type { GraphStep } from '../../compiler/contracts/profile.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { Hub, Workflow } from '../../compiler/contracts/workflow.ts';
import { amount, calleeOf, label, type TraceNode } from './node.ts';
import type { RequestTrace } from './tree.ts';

/**
 * Where runs of graphs really went from node to node, per request. A hub calls every node itself, so this is not in the
 * edges: it comes from the superstep each call belongs to. A node that no declared edge leads to from the superstep before
 * was reached by a `Send`, a `Command` or a branch that did not say where it may go; it then counts from every node of
 * that superstep.
 */
export function graphSteps(requests: readonly RequestTrace[], workflow: Workflow): readonly GraphStep[] {
  const found = new Map<string, GraphStep>();
  for (const { nodes } of requests) {
    for (const run of runsIn(nodes)) {
      const hub = workflow.hubs?.find(({ agent }) => agent === run.hub);
      for (const [index, after] of run.steps.entries()) {
        const before = run.steps[index - 1];
        if (before === undefined) continue;
        for (const to of after) for (const step of into(before, to, hub)) add(found, step, requests.length);
      }
    }
  }
  return [...found.values()].sort((a, b) => b.perRequest - a.perRequest || (a.from + a.to < b.from + b.to ? -1 : 1));
}

interface GraphRun {
  readonly hub: string;
  /** Components of each superstep, in order. */
  readonly steps: readonly ReadonlySet<string>[];
}

/** Runs of one graph in one trace: a graph that is run anew, after a pause for instance, goes on with higher supersteps. */
function runsIn(nodes: readonly TraceNode[]): readonly GraphRun[] {
  const runs = new Map<string, { hub: string; steps: Map<number, Set<string>> }>();
  for (const node of nodes) {
    const path = label(node, attr.graphNode);
    const hub = label(node, attr.from);
    if (node.role !== 'call' || path === undefined || hub === undefined) continue;
    const key = `${hub} ${path.split('/').slice(0, -1).join('/')}`;
    const run = runs.get(key) ?? { hub, steps: new Map<number, Set<string>>() };
    runs.set(key, run);
    const step = amount(node, attr.graphStep);
    run.steps.set(step, (run.steps.get(step) ?? new Set()).add(calleeOf(node)));
  }
  return [...runs.values()].map(({ hub, steps }) => ({ hub, steps: [...steps].sort(([a], [b]) => a - b).map(([, each]) => each) }));
}

function into(before: ReadonlySet<string>, to: string, hub: Hub | undefined): readonly Omit<GraphStep, 'perRequest'>[] {
  const declared = [...before].filter((from) => hub?.edges.some((edge) => edge.to === to && edge.from.includes(from)));
  const from = declared.length > 0 ? declared : [...before];
  return from.map((each) => ({ hub: hub?.agent ?? '', from: each, to, declared: declared.length > 0 }));
}

function add(found: Map<string, GraphStep>, step: Omit<GraphStep, 'perRequest'>, requests: number): void {
  const key = `${step.hub} ${step.from} ${step.to} ${step.declared}`;
  found.set(key, { ...step, perRequest: (found.get(key)?.perRequest ?? 0) + 1 / requests });
}
