import { hubName, placeableNodes } from '../../compiler/frontends/langgraph/compiled-graph.ts';
import type { CompiledGraph, Kit } from '../../compiler/frontends/langgraph/fields.ts';
import { langgraphContract, langgraphHub, langgraphNode } from '../../runtime/agent/langgraph.ts';
import type { ProtocolDescriptor } from '../../runtime/protocols/protocol.ts';
import { type Deployed, deploy } from '../runtime/agent/harness.ts';

/** Where the nodes are: with their loop, each alone, or all together in one other unit. */
export const layouts = ['one unit', 'a unit per node', 'all nodes in one other unit'] as const;
export type Layout = (typeof layouts)[number];

export interface GraphDeployment {
  readonly make: () => unknown;
  readonly kit: unknown;
  readonly layout: Layout | ((nodes: readonly string[]) => readonly (readonly string[])[]);
  readonly protocol?: ProtocolDescriptor;
  readonly replicas?: readonly number[];
  readonly deadlineMs?: number;
}

/** Starts real units that speak a real protocol. Each part gets a graph of its own, as each process would. */
export async function deployGraph(given: GraphDeployment): Promise<Deployed & { readonly hub: string; readonly nodes: readonly string[] }> {
  const make = given.make as () => CompiledGraph;
  const kit = given.kit as Kit;
  const graph = make();
  const hub = hubName(graph, 'app');
  const nodes = placeableNodes(graph).map((node) => node.component);
  const apart = {
    'one unit': [[hub, ...nodes]],
    'a unit per node': [[hub], ...nodes.map((node) => [node])],
    'all nodes in one other unit': [[hub], nodes],
  };
  const groups =
    typeof given.layout === 'string'
      ? apart[given.layout]
      : [...given.layout(nodes)].map((group, index) => (index === 0 ? [hub, ...group] : group));
  const units = Object.fromEntries(groups.map((group, index) => [index === 0 ? '' : `unit${index}`, group]));
  const parts = [langgraphHub(hub, graph, kit, { units }), ...nodes.map((node) => langgraphNode(node, hub, make(), kit))];
  const { protocol, replicas, deadlineMs } = given;
  const deployed = await deploy({
    parts,
    entry: langgraphContract(hub),
    groups,
    samplingRatio: 1,
    balancing: 'session',
    ...(protocol === undefined ? {} : { protocol }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
  return { ...deployed, hub, nodes };
}

/** Hops that left their process, as `from->to`, in order. */
export const hopsOf = ({ spans }: Deployed): readonly string[] =>
  spans
    .getFinishedSpans()
    .filter((span) => span.name.startsWith('call ') && span.attributes['rpc.system'] !== 'inproc')
    .map((span) => `${span.attributes['dmas.from']}->${span.attributes['dmas.to']}`);
