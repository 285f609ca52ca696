import type { CompiledGraph, Invocable, PregelNode, RunConfig } from '../../../compiler/frontends/langgraph/fields.ts';
import { pregelKey } from '../../../compiler/frontends/langgraph/fields.ts';
import type { NodeFailure } from './messages.ts';
import type { Run } from './run.ts';

/** A superstep that ran ahead: its writes, or how its node failed. */
export type ReadyStep = { readonly writes: readonly unknown[] } | { readonly failed: NodeFailure };

/** The tasks of one superstep of one run, as far as the loop has prepared them. */
interface Superstep {
  tasks: number;
}

/**
 * Tells how many tasks run in one superstep. The loop asks for the nodes of all of them (`getNode`) in one synchronous pass
 * before the first runs; what is asked for up to the next turn of the microtask queue is therefore one superstep. Two runs
 * of one graph may be taken for one now and then: then there seem to be more tasks, and a segment is left unused.
 */
export class Supersteps {
  #present: Superstep | undefined;

  join(): Superstep {
    if (this.#present === undefined) {
      this.#present = { tasks: 0 };
      queueMicrotask(() => {
        this.#present = undefined;
      });
    }
    this.#present.tasks += 1;
    return this.#present;
  }
}

/** How a task of a node is run; `null` leaves it to the loop's own way, with what `bound` says. */
export type TaskRunner = (input: unknown, config: RunConfig, alone: () => boolean) => Promise<{ readonly result: unknown } | null>;

/**
 * Lets `run` have each task of a node first. A task runs the node's code and then its writers; one that ran elsewhere as part
 * of a segment comes with its writes, which need no writers any more.
 */
export function interceptTasks(node: PregelNode, supersteps: Supersteps, run: TaskRunner): void {
  const original = node.getNode.bind(node);
  node.getNode = () => {
    const task = original();
    if (task === undefined) return undefined;
    const superstep = supersteps.join();
    // A copy that differs in `invoke` alone stays a Runnable of the LangChain version the user has.
    const own = Object.create(task) as Invocable & { invoke: Invocable['invoke'] };
    own.invoke = async (input, config) => {
      const done = await run(input, config ?? {}, () => superstep.tasks === 1);
      return done === null ? task.invoke(input, config) : done.result;
    };
    return own;
  };
}

/** `<graph>|<node>|<step>` within a run. */
export const readyKey = (graphPath: string, node: string, step: number) => `${graphPath}|${node}|${step}`;

export const stepOf = (config: RunConfig): number => Number(config.metadata?.langgraph_step ?? Number.NaN);

/**
 * Most nodes a segment may run from this step on; 1 when none may follow. Not while chunks flow to a user, which would come
 * late; not in the first step of a resumed run, where part of it may be done already; not past the recursion limit.
 */
export function segmentLimit(run: Run, graphPath: string, config: RunConfig): number {
  const step = stepOf(config);
  if (!Number.isFinite(step) || run.wants.length > 0) return 1;
  const first = run.firstSteps.get(graphPath) ?? step;
  run.firstSteps.set(graphPath, first);
  if (run.resumed && step === first) return 1;
  const left = (config.recursionLimit ?? 25) - (step - first);
  return Math.max(1, Math.min(left, longestSegment));
}

/** A loop inside one segment cannot be stopped by the hub, so it hears of the run again after this many nodes. */
const longestSegment = 25;

/** The state as the loop has it before a superstep: every key that has a value. */
export function stateBefore(graph: CompiledGraph, config: RunConfig): { readonly [key: string]: unknown } | undefined {
  const read = config.configurable?.[pregelKey.read];
  if (typeof read !== 'function') return undefined;
  return read(stateKeys(graph), false) as { readonly [key: string]: unknown };
}

/** Keys of the state the user defined. */
export const stateKeys = (graph: CompiledGraph): readonly string[] =>
  Object.keys(graph.channels).filter((key) => !key.startsWith('__') && !key.startsWith('branch:') && !key.startsWith('join:'));
