import { z } from 'zod';
import { brand } from '../../compiler/api/definitions.ts';
import { agent } from '../../compiler/api/index.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import {
  graphsIn,
  type PlaceableNode,
  pathOfNamespace,
  placeableNodes,
  segmentPairs,
} from '../../compiler/frontends/langgraph/compiled-graph.ts';
import {
  type CompiledGraph,
  type Kit,
  missingFields,
  pregelKey,
  type RunConfig,
  type Scratchpad,
  supportedVersions,
} from '../../compiler/frontends/langgraph/fields.ts';
import { type CallParts, callNode, callSegment, settle } from './langgraph/call-node.ts';
import { packerOf } from './langgraph/envelope.ts';
import { hubHandler } from './langgraph/hub.ts';
import { errorOf } from './langgraph/messages.ts';
import type { ModelEnvironment } from './langgraph/model-environment.ts';
import { type Run, runOf } from './langgraph/run.ts';
import { nodeHandler } from './langgraph/run-node.ts';
import { interceptTasks, readyKey, Supersteps, segmentLimit, stateBefore, stepOf } from './langgraph/segments.ts';
import { answerStore } from './langgraph/store.ts';
import type { FrameworkAgent } from './program.ts';

export interface HubPlacement {
  /** Component names of the graph's nodes, by the unit that holds them; the hub's own unit under ''. */
  readonly units: { readonly [unit: string]: readonly string[] };
}

/** Turns at a time; a turn of a hub mostly waits. */
const concurrency = 64;

/**
 * The agent that runs a LangGraph.js graph's own loop. Each node's code is called where the plan put it: `bound` of the
 * node is replaced, on the one compiled graph; state, reducers, edges, branches, joins, checkpoints and streams stay
 * LangGraph's. Nodes that follow one another in one other unit are called together (see langgraph/run-segment.ts).
 *
 * Takes over `graph`, which must not be invoked by anyone else afterwards.
 */
export function langgraphHub(
  name: string,
  graph: CompiledGraph,
  kit: Kit,
  { units }: HubPlacement,
  models?: ModelEnvironment,
): FrameworkAgent {
  const missing = missingFields(graph);
  if (missing.length > 0)
    throw new TypeError(`the graph ${name} has no ${missing.join(', ')}: supported is @langchain/langgraph ${supportedVersions}`);
  const packer = packerOf(graph, kit);
  const nodes = placeableNodes(graph);
  const parts: CallParts = { hub: name, kit, local: new Set(units[''] ?? []) };
  const byPath = new Map(nodes.map((node) => [node.path.join('/'), node]));
  const placedAt = (config: RunConfig | undefined) =>
    byPath.get(pathOfNamespace(String(config?.configurable?.checkpoint_ns ?? '')).join('/'));
  for (const { graph: each } of graphsIn(graph)) takeOver(parts, each, placedAt, units);
  const calls = nodes.map((node) => langgraphContract(node.component));
  return {
    [brand]: 'framework-agent',
    ref: langgraphContract(name),
    options: { calls, concurrency },
    handler: (runtime) => {
      const handle = hubHandler({ name, graph, kit, packer }, runtime);
      return async (body, turn) => {
        models?.attach(runtime());
        const work = async () => (await answerStore(graph, packer, body, turn)) ?? handle(body, turn);
        return models === undefined ? work() : models.within(name, work);
      };
    },
  };
}

/** One node of a LangGraph.js graph as an agent of its own. */
export function langgraphNode(name: string, hub: string, graph: CompiledGraph, kit: Kit, models?: ModelEnvironment): FrameworkAgent {
  const node = placeableNodes(graph).find((candidate) => candidate.component === name);
  if (node === undefined) throw new TypeError(`the graph has no node for ${name}`);
  // The outermost graph's serializer, as in the hub.
  const parts = { hub, node, kit, packer: packerOf(graph, kit) };
  // Operations on the store go back to the hub.
  const calls = graph.store === undefined ? [] : [langgraphContract(hub)];
  return {
    [brand]: 'framework-agent',
    ref: langgraphContract(name),
    options: { calls, concurrency },
    handler: (runtime) => nodeHandler(parts, runtime, models),
  };
}

/** What others need to know of a hub or a node: its name. Its input and output are the graph's own business. */
export const langgraphContract = (name: string) => agent(name, { input: z.unknown(), output: z.unknown(), chunk: z.unknown() });

/** Puts calls in the place of the code of one graph's nodes. A graph that is used twice is one value with two paths. */
function takeOver(
  parts: CallParts,
  graph: CompiledGraph,
  placedAt: (config: RunConfig | undefined) => PlaceableNode | undefined,
  units: HubPlacement['units'],
): void {
  const supersteps = new Supersteps();
  for (const { id } of placeableNodes(graph).filter((node) => node.path.length === 1)) {
    const node = graph.nodes[id];
    const original = graph.builder.nodes[id]?.runnable;
    if (node === undefined || original === undefined || node.bound !== original) continue;
    // A copy that differs in `invoke` alone stays a Runnable of the LangChain version the user has.
    const elsewhere = Object.create(original) as typeof original;
    elsewhere.invoke = async (input, config = {}) => {
      const run = runOf(config);
      const placed = placedAt(config);
      // A graph that a node runs by itself belongs to that node.
      if (run === undefined || placed === undefined) return original.invoke(input, config);
      return callNode(parts, run, placed, input, config);
    };
    node.bound = elsewhere;
    const pairs = segmentPairs(graph);
    if (!pairs.some((pair) => pair.includes(id))) continue;
    const together = pairs.flatMap(([from, to]) => (from === id ? [to] : []));
    interceptTasks(node, supersteps, async (_input, config, alone) => {
      const run = runOf(config);
      const placed = placedAt(config);
      if (run === undefined || placed === undefined || parts.local.has(placed.component)) return null;
      const unit = Object.values(units).find((components) => components.includes(placed.component)) ?? [];
      const siblings = placeableNodes(graph, placed.path.slice(0, -1))
        .filter((other) => unit.includes(other.component))
        .map((other) => other.id);
      return viaSegment(parts, run, placed, config, siblings, together, alone);
    });
  }
}

/** A task that ran ahead, or one that is called together with those that may follow it; null when it is called alone. */
async function viaSegment(
  parts: CallParts,
  run: Run,
  node: PlaceableNode,
  config: RunConfig,
  siblings: readonly string[],
  together: readonly string[],
  alone: () => boolean,
): Promise<{ result: unknown } | null> {
  const above = node.path.slice(0, -1).join('/');
  const [step, send] = [stepOf(config), config.configurable?.[pregelKey.send]];
  if (typeof send !== 'function') return null;
  const limit = segmentLimit(run, above, config);
  const ready = run.ready.get(readyKey(above, node.id, step));
  if (ready !== undefined) {
    run.ready.delete(readyKey(above, node.id, step));
    if ('failed' in ready) throw errorOf(ready.failed);
    send(ready.writes);
    return { result: undefined };
  }
  const scratchpad = config.configurable?.[pregelKey.scratchpad] as Scratchpad | undefined;
  const answers = scratchpad === undefined || scratchpad.resume.length > 0 || scratchpad.nullResume !== undefined;
  const pulled = (config.metadata?.langgraph_path as readonly unknown[] | undefined)?.[0] === '__pregel_pull';
  if (limit < 2 || answers || !pulled || !alone() || !together.some((id) => siblings.includes(id))) return null;
  const state = stateBefore(node.graph, config);
  if (state === undefined) return null;
  const segment = { state: await run.packer.pack(state, 'state of the graph'), nodes: siblings, limit };
  const reply = await callSegment(parts, run, node, segment, config);
  if (reply.kind !== 'segment') return { result: await settle(parts, run, config, reply) };
  const [first, ...later] = reply.steps;
  if (first === undefined || 'failed' in first)
    throw new CallError({ code: 'failed', message: `node ${node.id} answered without its own step` });
  for (const [index, each] of later.entries()) {
    const done = 'failed' in each ? each : { writes: (await run.packer.unpack(each.writes)) as unknown[] };
    run.ready.set(readyKey(above, each.node, step + 1 + index), done);
  }
  send((await run.packer.unpack(first.writes)) as unknown[]);
  return { result: undefined };
}
