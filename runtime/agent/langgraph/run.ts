import type { RunConfig } from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentTurn } from '../agent-turn.ts';
import type { Runtime } from '../runtime.ts';
import type { Packer } from './envelope.ts';
import type { StreamKind } from './messages.ts';
import type { ReadyStep } from './segments.ts';

/** One run of a hub's graph: a request, with what its nodes need to know of it. */
export interface Run {
  readonly runtime: Runtime;
  readonly turn: AgentTurn;
  /** Packs and unpacks for this run, and counts the time. */
  readonly packer: Packer;
  /** What of the nodes' doings goes to the user as it happens. */
  readonly wants: readonly StreamKind[];
  /** Supersteps that ran ahead in a node's unit, by graph, node and step. */
  readonly ready: Map<string, ReadyStep>;
  /** First superstep of each graph in this run. A resumed run may have finished part of it before. */
  readonly firstSteps: Map<string, number>;
  readonly resumed: boolean;
}

/**
 * Under this key of `config.configurable` the run of a task is found: the graph is one value for all runs. An
 * AsyncLocalStorage would not do: it is lost on the way through the graph's loop (seen with LangGraph.js 1.4.2). LangGraph
 * passes the key on to sub-graphs, and does not write it into checkpoints.
 */
export const runKey = '__pregel_dmas_opt_run';

export const runOf = (config: RunConfig | undefined): Run | undefined => config?.configurable?.[runKey] as Run | undefined;
