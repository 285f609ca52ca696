import { CallError } from '../../../compiler/contracts/call-errors.ts';
import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { PlaceableNode } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import {
  type CommandValue,
  type GraphInterruptValue,
  type Invocable,
  type Kit,
  loopKeys,
  pregelKey,
  type RunConfig,
  type Scratchpad,
  writeKey,
} from '../../../compiler/frontends/langgraph/fields.ts';
import { ownCancellation } from '../cancellation.ts';
import type { Delivery } from '../delivery.ts';
import { hop } from '../hop.ts';
import type { Packer } from './envelope.ts';
import { hold, isHeld, take } from './handover.ts';
import { errorOf, failureIn, type NodeCall, type NodeChunk, type NodeReply, type SegmentCall, thrownByNode } from './messages.ts';
import type { Run } from './run.ts';
import { chunkReceiver } from './streams.ts';

export interface CallParts {
  readonly hub: string;
  readonly kit: Kit;
  /** Components that run in this process. */
  readonly local: ReadonlySet<string>;
}

/** What a node in this process gets, and what it gives back: live values. */
export interface LiveCall {
  /** The node's code with its writers, in a segment; else the node runs its code alone. */
  readonly task?: Invocable;
  readonly input: unknown;
  readonly config: RunConfig;
}
export type LiveReply = { readonly result: unknown } | { readonly thrown: unknown };

/** Runs a node where it is: what stands in the place of its code in the hub. */
export async function callNode(parts: CallParts, run: Run, node: PlaceableNode, input: unknown, config: RunConfig): Promise<unknown> {
  if (parts.local.has(node.component)) return callHere(parts, run, node, { input, config });
  const body = await bodyOf(run, node, config, { input: await run.packer.pack(input, `input of node ${node.id}`) });
  return settle(parts, run, config, await send(parts, run, node, body, config));
}

/** Runs a node and those that may follow it in its unit. @returns the steps that ran */
export async function callSegment(
  parts: CallParts,
  run: Run,
  node: PlaceableNode,
  segment: SegmentCall,
  config: RunConfig,
): Promise<NodeReply> {
  return send(parts, run, node, await bodyOf(run, node, config, { segment }), config);
}

async function callHere(parts: CallParts, run: Run, node: PlaceableNode, live: LiveCall): Promise<unknown> {
  const delivery = deliveryOf(parts, run, node, hold(live), live.config);
  try {
    const reply = await hop(run.runtime, delivery);
    const outcome = isHeld(reply) ? take<LiveReply>(reply) : { result: reply };
    if ('thrown' in outcome) throw outcome.thrown;
    return outcome.result;
  } catch (error) {
    // The error as the node threw it: retry policies and callers look at its class.
    throw thrownByNode(error);
  }
}

async function send(parts: CallParts, run: Run, node: PlaceableNode, body: NodeCall, config: RunConfig): Promise<NodeReply> {
  const { scope } = run.turn;
  // The graph may give a node up while the request goes on: another branch failed, or the node's time is over.
  const own = ownCancellation(Number.POSITIVE_INFINITY, scope.cancellation);
  const giveUp = () => own.abort(new CallError({ code: 'cancelled', message: `the graph waits no more for node ${node.id}` }));
  config.signal?.addEventListener('abort', giveUp, { once: true });
  if (config.signal?.aborted) giveUp();
  const receiver = chunkReceiver(config, run.packer);
  const plain = deliveryOf(parts, run, node, body, config);
  const streams = body.wants.length > 0;
  const delivery: Delivery = {
    ...plain,
    scope: { ...plain.scope, cancellation: own.cancellation },
    ...(streams ? { pattern: 'stream', emit: (chunk: unknown) => receiver.take(chunk as NodeChunk) } : {}),
  };
  try {
    const reply = (await own.cancellation.race(hop(run.runtime, delivery))) as NodeReply;
    await receiver.settled();
    return reply;
  } catch (error) {
    const failure = error instanceof CallError ? failureIn(error.value.details) : undefined;
    throw failure === undefined ? error : errorOf(failure, error);
  } finally {
    config.signal?.removeEventListener('abort', giveUp);
    own.close();
  }
}

function deliveryOf({ hub }: CallParts, run: Run, node: PlaceableNode, body: unknown, config: RunConfig): Delivery {
  return {
    from: hub,
    to: node.component,
    channel: `${hub}->${node.component}`,
    pattern: 'request',
    body,
    scope: run.turn.scope,
    attributes: stepAttributes(node.path, config),
  };
}

/** Which step of which graph a call is. */
export function stepAttributes(path: readonly string[], { metadata }: RunConfig): NonNullable<Delivery['attributes']> {
  const triggers = metadata?.langgraph_triggers;
  return {
    [attr.graphNode]: path.join('/'),
    [attr.graphStep]: Number(metadata?.langgraph_step ?? 0),
    ...(Array.isArray(triggers) ? { [attr.graphTriggers]: triggers.map(String).join(',') } : {}),
  };
}

async function bodyOf(run: Run, node: PlaceableNode, config: RunConfig, what: Pick<NodeCall, 'input' | 'segment'>): Promise<NodeCall> {
  const { packer } = run;
  const { configurable = {}, metadata = {}, tags = [], runName, recursionLimit, context, executionInfo } = config;
  const scratchpad = configurable[pregelKey.scratchpad] as Scratchpad | undefined;
  const passed = Object.fromEntries(Object.entries(configurable).filter(([key, value]) => !loopKeys.test(key) && isData(value)));
  const named = (part: string) => `${part} of the config of node ${node.id}`;
  return {
    kind: 'node',
    ...what,
    config: {
      tags: [...tags],
      metadata: await packer.pack(metadata, named('metadata')),
      configurable: await packer.pack(passed, named('configurable')),
      ...(runName === undefined ? {} : { runName }),
      ...(recursionLimit === undefined ? {} : { recursionLimit }),
      ...(context === undefined ? {} : { context: await packer.pack(context, named('context')) }),
      ...(executionInfo === undefined ? {} : { executionInfo: await packer.pack(executionInfo, named('executionInfo')) }),
    },
    resume: await packer.pack(scratchpad?.resume ?? [], 'answers to interrupts'),
    ...(scratchpad?.nullResume === undefined ? {} : { nullResume: await packer.pack(scratchpad.nullResume, 'answer to an interrupt') }),
    mayInterrupt: Boolean(configurable[pregelKey.checkpointer]),
    wants: run.wants,
    ...(node.graph.store !== undefined || config.store !== undefined ? { store: true } : {}),
  };
}

/** Functions and live objects of the user's own in `configurable` stay in the hub. */
const isData = (value: unknown): boolean =>
  value !== undefined && typeof value !== 'function' && !(typeof value === 'object' && value !== null && hasMethods(value));
const hasMethods = (value: object) => {
  const prototype = Object.getPrototypeOf(value);
  return prototype !== null && prototype !== Object.prototype && !Array.isArray(value);
};

/** What a node's reply means in the hub: a result for the writers, or one of the loop's own exceptions. */
export async function settle({ kit }: CallParts, { packer }: Run, config: RunConfig, reply: NodeReply): Promise<unknown> {
  switch (reply.kind) {
    case 'parent':
      throw new kit.ParentCommand((await packer.unpack(reply.command)) as CommandValue);
    case 'interrupt':
      await takeBack(packer, config, reply);
      throw new kit.GraphInterrupt((await packer.unpack(reply.interrupts)) as GraphInterruptValue[]);
    case 'result':
      await takeBack(packer, config, reply);
      return packer.unpack(reply.result);
    default:
      throw new CallError({ code: 'failed', message: 'a node answered with a segment it was not asked for' });
  }
}

/** The answers a node used are kept with the task, as `interrupt` itself does, so that the next interrupt of the node finds them. */
async function takeBack(packer: Packer, { configurable = {} }: RunConfig, reply: Extract<NodeReply, { kind: 'result' | 'interrupt' }>) {
  if (reply.resumed === undefined) return;
  const scratchpad = configurable[pregelKey.scratchpad] as Scratchpad | undefined;
  if (reply.usedNull === true) scratchpad?.consumeNullResume();
  const send = configurable[pregelKey.send];
  if (typeof send === 'function') send([[writeKey.resume, await packer.unpack(reply.resumed)]]);
}
