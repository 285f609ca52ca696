import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { PlaceableNode } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import {
  type Invocable,
  isInterrupt,
  isParentCommand,
  type Kit,
  pregelKey,
  type RunConfig,
  type Scratchpad,
  writeKey,
} from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentHandler, AgentTurn } from '../agent-turn.ts';
import type { Runtime } from '../runtime.ts';
import type { LiveCall, LiveReply } from './call-node.ts';
import { metered, type Packer, tellPacking } from './envelope.ts';
import { hold, isHeld, take } from './handover.ts';
import { failureDetails, failureOf, type NodeCall, type NodeReply } from './messages.ts';
import type { ModelEnvironment } from './model-environment.ts';
import { runSegment } from './run-segment.ts';
import { hubStore } from './store.ts';
import { chunkSender, modelReporter } from './streams.ts';

export interface NodeParts {
  readonly hub: string;
  readonly node: PlaceableNode;
  readonly kit: Kit;
  readonly packer: Packer;
}

/** One node as an agent: gets its input, returns what it returned, whether the hub is in this process or in another. */
export function nodeHandler(parts: NodeParts, runtime: () => Runtime, models?: ModelEnvironment): AgentHandler {
  const savers = new InnerSavers(parts.kit);
  return async (body, turn) => {
    models?.attach(runtime());
    const work = async () => (isHeld(body) ? runLive(parts, take(body)) : runCall(parts, savers, runtime(), body as NodeCall, turn));
    return models === undefined ? work() : models.within(parts.node.component, work);
  };
}

/** What the node runs. The builder keeps it when a hub in this process has put calls in its place. */
export function runnableOf({ graph, id }: PlaceableNode): Invocable {
  const runnable = graph.builder.nodes[id]?.runnable;
  if (runnable === undefined) throw new RangeError(`the graph has no node ${id}`);
  return runnable;
}

/** An interrupt is an answer, not a failure: the trace shows a node that did its part. */
async function runLive({ node }: NodeParts, { task, input, config }: LiveCall): Promise<object> {
  let reply: LiveReply;
  try {
    reply = { result: await (task ?? runnableOf(node)).invoke(input, config) };
  } catch (error) {
    if (!isInterrupt(error) && !isParentCommand(error)) throw error;
    reply = { thrown: error };
  }
  return hold(reply);
}

async function runCall(given: NodeParts, savers: InnerSavers, runtime: Runtime, call: NodeCall, turn: AgentTurn): Promise<NodeReply> {
  const { packer, spentMs } = metered(given.packer);
  try {
    return await runPacked({ ...given, packer }, savers, runtime, call, turn);
  } finally {
    tellPacking(turn, spentMs());
  }
}

async function runPacked(parts: NodeParts, savers: InnerSavers, runtime: Runtime, call: NodeCall, turn: AgentTurn): Promise<NodeReply> {
  const { packer, node } = parts;
  if (call?.kind !== 'node')
    throw new CallError({ code: 'invalid', message: `${node.component} is a node of the graph ${parts.hub} and is called by it alone` });
  const resumed: unknown[][] = [];
  const { configurable, ...rest } = await configOf(parts, runtime, call, turn);
  const writes: [string, unknown][] = [];
  const scratchpad = await scratchpadOf(parts, call);
  const saver = savers.of(configurable);
  const config: RunConfig = {
    ...rest,
    configurable: {
      ...configurable,
      [pregelKey.scratchpad]: scratchpad,
      ...(call.mayInterrupt ? { [pregelKey.checkpointer]: saver.saver } : {}),
      [pregelKey.send]: (written: readonly [string, unknown][]) => {
        for (const write of written) if (write[0] === writeKey.resume) resumed.push(write[1] as unknown[]);
        writes.push(...written);
      },
      [pregelKey.call]: inlineTask,
    },
  };
  const chunks = chunkSender((chunk) => turn.emit?.(chunk));
  const streaming: RunConfig = {
    ...config,
    writer: call.wants.includes('custom')
      ? (chunk) => chunks.send(async () => ({ custom: await packer.pack(chunk, 'custom chunk') }))
      : () => {},
    ...(call.wants.includes('messages') ? { callbacks: [modelReporter(chunks, packer)] } : {}),
  };
  const answers = async () => ({
    ...(resumed.length === 0 ? {} : { resumed: await packer.pack(resumed.at(-1), 'answers to interrupts') }),
    ...(call.nullResume !== undefined && scratchpad.nullResume === undefined ? { usedNull: true } : {}),
  });
  try {
    if (call.segment !== undefined) return await runSegment(parts, runtime, turn, call.segment, streaming, writes);
    const input = scratchpad.currentTaskInput;
    const result = await runnableOf(node).invoke(input, streaming);
    await chunks.settled();
    return { kind: 'result', result: await packer.pack(result, `result of node ${node.id}`), ...(await answers()) };
  } catch (error) {
    await chunks.settled().catch(() => {});
    if (isInterrupt(error)) {
      savers.keep(configurable, saver);
      return { kind: 'interrupt', interrupts: await packer.pack(error.interrupts, 'prompt of an interrupt'), ...(await answers()) };
    }
    if (isParentCommand(error)) return { kind: 'parent', command: await packer.pack(error.command, 'Command') };
    if (error instanceof CallError) throw error;
    const failure = failureOf(error);
    throw new CallError(
      { code: 'failed', message: failure.message, component: node.component, details: failureDetails(failure) },
      { cause: error },
    );
  }
}

async function configOf({ packer, node, kit, hub }: NodeParts, runtime: Runtime, call: NodeCall, turn: AgentTurn) {
  const { config } = call;
  const unpacked = async (packed: (typeof config)['context']) => (packed === undefined ? undefined : await packer.unpack(packed));
  const [context, executionInfo] = [await unpacked(config.context), await unpacked(config.executionInfo)];
  return {
    configurable: (await packer.unpack(config.configurable)) as { readonly [key: string]: unknown },
    metadata: (await packer.unpack(config.metadata)) as { readonly [key: string]: unknown },
    tags: config.tags,
    ...(config.runName === undefined ? {} : { runName: config.runName }),
    ...(config.recursionLimit === undefined ? {} : { recursionLimit: config.recursionLimit }),
    ...(context === undefined ? {} : { context }),
    ...(executionInfo === undefined ? {} : { executionInfo }),
    ...(call.store === true ? { store: hubStore({ kit, packer, hub, node: node.component }, runtime, turn) } : {}),
    signal: turn.scope.cancellation.signal,
  };
}

async function scratchpadOf({ packer }: NodeParts, call: NodeCall): Promise<Scratchpad> {
  const scratchpad: Scratchpad = {
    callCounter: 0,
    interruptCounter: -1,
    resume: (await packer.unpack(call.resume)) as unknown[],
    ...(call.nullResume === undefined ? {} : { nullResume: await packer.unpack(call.nullResume) }),
    subgraphCounter: 0,
    currentTaskInput: call.input === undefined ? undefined : await packer.unpack(call.input),
    consumeNullResume: () => {
      const { nullResume } = scratchpad;
      delete scratchpad.nullResume;
      return nullResume;
    },
  };
  return scratchpad;
}

/** A `task()` of the functional API inside a node: run where the node is. Its result is not kept when the node is resumed. */
const inlineTask = async (func: (...args: unknown[]) => unknown, _name: string, args: readonly unknown[]) => func(...args);

interface Saver {
  readonly saver: object;
}

/**
 * Where graphs that a node runs by itself keep what they did before an interrupt: in this process, until the node is called
 * again. When it is called in another process, such a graph starts from its beginning.
 */
class InnerSavers {
  readonly #kit: Kit;
  readonly #kept = new Map<string, Saver>();

  constructor(kit: Kit) {
    this.#kit = kit;
  }

  of(configurable: { readonly [key: string]: unknown }): Saver {
    const key = keyOf(configurable);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    return known ?? { saver: new this.#kit.MemorySaver() };
  }

  keep(configurable: { readonly [key: string]: unknown }, saver: Saver): void {
    this.#kept.set(keyOf(configurable), saver);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > mostKept && oldest !== undefined) this.#kept.delete(oldest);
  }
}

/** Interrupted nodes that are remembered per process; people take long to answer, and some never do. */
const mostKept = 256;
/** The namespace of a task names the node and the task, which is the same when it is resumed. */
const keyOf = ({ thread_id: thread, checkpoint_ns: namespace }: { readonly [key: string]: unknown }) =>
  `${String(thread)}|${String(namespace)}`;
