import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { CompiledGraph, Kit } from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentTurn } from '../agent-turn.ts';
import { hop } from '../hop.ts';
import type { Runtime } from '../runtime.ts';
import type { Packed, Packer } from './envelope.ts';

/**
 * The store of a graph is an object in the hub's process, perhaps one that keeps everything in memory. A node elsewhere gets
 * one that sends its operations there; all of a store's methods go through `batch`.
 */
const storeKey = '$dmas-opt:store';

export interface StoreParts {
  readonly kit: Kit;
  readonly packer: Packer;
  readonly hub: string;
  readonly node: string;
}

export function hubStore({ kit, packer, hub, node }: StoreParts, runtime: Runtime, turn: AgentTurn): object {
  class HubStore extends kit.BaseStore {
    async batch(operations: readonly unknown[]): Promise<unknown> {
      const body = { [storeKey]: await packer.pack(operations, 'operations on the store') };
      const reply = await hop(runtime, { from: node, to: hub, channel: `${node}->${hub}`, pattern: 'request', body, scope: turn.scope });
      return packer.unpack((reply as { results: Packed }).results);
    }
    start() {}
    stop() {}
  }
  return new HubStore();
}

/** The answer to a node's operations; undefined when the message is something else. */
export async function answerStore(graph: CompiledGraph, packer: Packer, body: unknown, turn: AgentTurn): Promise<object | undefined> {
  if (typeof body !== 'object' || body === null || !(storeKey in body)) return undefined;
  // Only a node has the hub among those that wait for it; users' requests come with no one before them.
  if (turn.scope.ancestors.length < 2) throw new CallError({ code: 'invalid', message: 'the store is for the nodes of the graph' });
  if (graph.store === undefined) throw new CallError({ code: 'invalid', message: 'the graph has no store' });
  const operations = (await packer.unpack(body[storeKey] as Packed)) as readonly unknown[];
  return { results: await packer.pack(await graph.store.batch(operations), 'results of the store') };
}
