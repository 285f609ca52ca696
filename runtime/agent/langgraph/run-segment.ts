import { randomUUID } from 'node:crypto';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import { componentName, type PlaceableNode, segmentPairs } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import {
  type Channel,
  type CompiledGraph,
  isInterrupt,
  isParentCommand,
  pregelKey,
  type RunConfig,
  writeKey,
} from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentTurn } from '../agent-turn.ts';
import { hop } from '../hop.ts';
import type { Runtime } from '../runtime.ts';
import { type LiveCall, type LiveReply, stepAttributes } from './call-node.ts';
import { hold, isHeld, take } from './handover.ts';
import { failureOf, type NodeReply, type SegmentCall, type SegmentStep, thrownByNode } from './messages.ts';
import type { NodeParts } from './run-node.ts';
import { sameValue } from './same-value.ts';
import { stateKeys } from './segments.ts';

type Write = readonly [key: string, value: unknown];
type Channels = Map<string, Channel>;

/**
 * Runs a node and, as far as its edges and branches lead to one node of this unit at a time, those after it: supersteps of
 * one task each, with LangGraph's own writers, branches and channels. The hub then does the same steps with the writes
 * it gets, so state, checkpoints and streams come about as if it had called node by node.
 *
 * It ends where the hub is needed: a fork, a join, a `Send`, a pause, a `Command` for another graph, a channel that is more
 * than a value with a reducer, or a reducer that does not give the same twice.
 */
export async function runSegment(
  parts: NodeParts,
  runtime: Runtime,
  turn: AgentTurn,
  call: SegmentCall,
  first: RunConfig,
  firstWrites: Write[],
): Promise<NodeReply> {
  const { graph } = parts.node;
  const pairs = new Set(segmentPairs(graph).map(([from, to]) => `${from}|${to}`));
  const channels = channelsOf(graph, (await parts.packer.unpack(call.state)) as object);
  const steps: SegmentStep[] = [];
  let id = parts.node.id;
  let config = withReads(channels, first, firstWrites);
  let writes = firstWrites;
  for (;;) {
    const input = inputOf(graph, id, channels);
    const task = graph.nodes[id]?.getNode();
    if (task === undefined) throw new RangeError(`the graph has no node ${id}`);
    try {
      if (steps.length === 0) {
        setTaskInput(config, input);
        await task.invoke(input, config);
      } else await runThere(parts, runtime, turn, id, { task, input, config });
    } catch (error) {
      if (steps.length === 0) throw error;
      // A pause needs the namespace of the hub's own task, so the hub calls this node itself; and one that found no slot.
      const callItself = isInterrupt(error) || isParentCommand(error) || (error instanceof CallError && error.value.neverStarted === true);
      if (!callItself) steps.push({ node: id, failed: failureOf(thrownByNode(error)) });
      break;
    }
    const settled = normalized(parts, graph, writes);
    const packed = await parts.packer.pack(settled, `writes of node ${id}`);
    steps.push({ node: id, writes: packed });
    const next = nextNode(settled);
    if (next === undefined || steps.length >= call.limit || !call.nodes.includes(next) || !pairs.has(`${id}|${next}`)) break;
    const copies = (await Promise.all([parts.packer.unpack(packed), parts.packer.unpack(packed)])) as [Write[], Write[]];
    if (!apply(parts, channels, ...copies)) break;
    writes = [];
    config = nextConfig(parts.node, config, id, next, writes, channels);
    id = next;
  }
  return { kind: 'segment', steps };
}

/** In the turn of its own component, so that its limit holds and the trace shows it, called by the hub as ever. */
async function runThere({ hub, node }: NodeParts, runtime: Runtime, turn: AgentTurn, id: string, live: LiveCall): Promise<void> {
  const path = [...node.path.slice(0, -1), id];
  const to = componentName(path.join('-'));
  const reply = await hop(runtime, {
    from: hub,
    to,
    channel: `${hub}->${to}`,
    pattern: 'request',
    body: hold(live),
    scope: turn.scope,
    attributes: stepAttributes(path, live.config),
  });
  const outcome = isHeld(reply) ? take<LiveReply>(reply) : undefined;
  if (outcome !== undefined && 'thrown' in outcome) throw outcome.thrown;
}

function channelsOf(graph: CompiledGraph, state: object): Channels {
  const values = new Map(Object.entries(state));
  return new Map(stateKeys(graph).map((key) => [key, (graph.channels[key] as Channel).fromCheckpoint(values.get(key))]));
}

/** The channel's value; undefined when it has none. */
function heldBy(channel: Channel | undefined): { readonly value: unknown } | undefined {
  try {
    return channel === undefined ? undefined : { value: channel.get() };
  } catch (error) {
    if (error instanceof Error && error.name === 'EmptyChannelError') return undefined;
    throw error;
  }
}

function inputOf(graph: CompiledGraph, id: string, channels: Channels): unknown {
  const node = graph.nodes[id];
  if (node === undefined) throw new RangeError(`the graph has no node ${id}`);
  let input: unknown;
  if (Array.isArray(node.channels)) {
    input = node.channels.map((key: string) => heldBy(channels.get(key))).find((found) => found !== undefined)?.value;
  } else {
    const found = Object.entries(node.channels).map(([name, key]) => [name, heldBy(channels.get(key))] as const);
    input = Object.fromEntries(found.flatMap(([name, value]) => (value === undefined ? [] : [[name, value.value]])));
  }
  return node.mapper === undefined ? input : node.mapper(input);
}

function setTaskInput({ configurable = {} }: RunConfig, input: unknown): void {
  const scratchpad = configurable[pregelKey.scratchpad];
  if (typeof scratchpad === 'object' && scratchpad !== null) Object.assign(scratchpad, { currentTaskInput: input });
}

/** Branches read the state as it is with the node's own writes. */
function withReads(channels: Channels, config: RunConfig, writes: readonly Write[]): RunConfig {
  const read = (select: string | readonly string[], fresh = false): unknown => {
    const seen = (key: string) => {
      const channel = channels.get(key);
      const mine = fresh ? writes.filter(([written]) => written === key).map(([, value]) => value) : [];
      if (channel === undefined || mine.length === 0) return heldBy(channel);
      const copy = channel.fromCheckpoint(heldBy(channel)?.value);
      copy.update(mine);
      return heldBy(copy);
    };
    if (typeof select === 'string') return seen(select)?.value;
    return Object.fromEntries(select.flatMap((key) => (seen(key) === undefined ? [] : [[key, seen(key)?.value]])));
  };
  return { ...config, configurable: { ...config.configurable, [pregelKey.read]: read } };
}

/** The one node a task's writes lead to; undefined when they lead to several, to none, or somewhere that waits for others. */
function nextNode(writes: readonly Write[]): string | undefined {
  const targets = writes.flatMap(([key]) => (key.startsWith(writeKey.branchTo) ? [key.slice(writeKey.branchTo.length)] : []));
  const others = writes.some(([key]) => key === writeKey.tasks || key.startsWith('join:') || key.startsWith('__'));
  return others || new Set(targets).size !== 1 ? undefined : targets[0];
}

/**
 * Messages without an id get one from LangGraph's own reducer, a new one each time it runs; given here, they are the same in
 * the hub.
 */
function normalized({ kit }: NodeParts, graph: CompiledGraph, writes: readonly Write[]): readonly Write[] {
  return writes.map(([key, value]): Write => {
    if (graph.channels[key]?.operator !== kit.messagesStateReducer || value === undefined || value === null) return [key, value];
    const items = (Array.isArray(value) ? value : [value]) as { readonly type?: unknown; readonly role?: unknown }[];
    const removes = items.some((item) => typeof item === 'object' && item !== null && (item.type === 'remove' || item.role === 'remove'));
    const overwrites = typeof value === 'object' && '__overwrite__' in value;
    return removes || overwrites ? [key, value] : [key, kit.messagesStateReducer([] as never, value as never)];
  });
}

/** Applies the writes as the loop will. False when it might come to something else there; the channels are of no use then. */
function apply({ kit }: NodeParts, channels: Channels, writes: readonly Write[], again: readonly Write[]): boolean {
  const keys = new Set(writes.map(([key]) => key).filter((key) => !key.startsWith(writeKey.branchTo)));
  const of = (list: readonly Write[], key: string) => list.filter(([written]) => written === key).map(([, value]) => value);
  for (const key of keys) {
    const channel = channels.get(key);
    if (channel === undefined) return false;
    if (channel.lc_graph_name === 'LastValue') {
      channel.update(of(writes, key));
      continue;
    }
    if (channel.lc_graph_name !== 'BinaryOperatorAggregate') return false;
    const before = heldBy(channel)?.value;
    const trial = channel.operator === kit.messagesStateReducer ? undefined : channel.fromCheckpoint(before);
    channel.update(of(writes, key));
    const after = heldBy(channel)?.value;
    // A reducer that changes the old value in place has changed what it would be tried on.
    if (trial === undefined) continue;
    if (typeof after === 'object' && after !== null && after === before) return false;
    trial.update(of(again, key));
    if (!sameValue(after, heldBy(trial)?.value)) return false;
  }
  return true;
}

function nextConfig(node: PlaceableNode, config: RunConfig, from: string, to: string, writes: Write[], channels: Channels): RunConfig {
  const { graph } = node;
  const { metadata = {}, configurable = {} } = config;
  const namespace = String(configurable.checkpoint_ns ?? '').split('|');
  const own = [...namespace.slice(0, -1), `${to}:${randomUUID()}`].join('|');
  const fromMetadata = graph.builder.nodes[from]?.metadata ?? {};
  const kept = Object.fromEntries(Object.entries(metadata).filter(([key]) => !(key in fromMetadata)));
  const scratchpad = { callCounter: 0, interruptCounter: -1, resume: [], subgraphCounter: 0, consumeNullResume: () => undefined };
  const trigger = `${writeKey.branchTo}${to}`;
  const next: RunConfig = {
    ...config,
    runName: to,
    metadata: {
      ...kept,
      langgraph_step: Number(metadata.langgraph_step) + 1,
      langgraph_node: to,
      langgraph_triggers: [trigger],
      langgraph_path: ['__pregel_pull', to],
      langgraph_checkpoint_ns: own,
      checkpoint_ns: own,
      ...graph.builder.nodes[to]?.metadata,
    },
    configurable: {
      ...configurable,
      checkpoint_ns: own,
      [pregelKey.scratchpad]: scratchpad,
      [pregelKey.send]: (written: readonly Write[]) => void writes.push(...written),
    },
  };
  setTaskInput(next, inputOf(graph, to, channels));
  return withReads(channels, next, writes);
}
