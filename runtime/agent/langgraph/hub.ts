import { createHash } from 'node:crypto';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import { canonicalJson } from '../../../compiler/contracts/json.ts';
import type { CompiledGraph, GraphInterruptValue, Kit, RunConfig } from '../../../compiler/frontends/langgraph/fields.ts';
import { writeKey } from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentHandler, AgentTurn } from '../agent-turn.ts';
import { inputRequired } from '../pause.ts';
import type { Runtime } from '../runtime.ts';
import { metered, type Packer, tellPacking, toJson } from './envelope.ts';
import { type Asked, readRequest } from './input.ts';
import { type Run, runKey } from './run.ts';

export interface HubParts {
  readonly name: string;
  readonly graph: CompiledGraph;
  readonly kit: Kit;
  readonly packer: Packer;
}

/** Runs the graph's own loop for one request. The session is the thread. */
export function hubHandler(hub: HubParts, runtime: () => Runtime): AgentHandler {
  return async (body, turn) => {
    const asked = readRequest(body, hub.graph);
    const { input, resumed } = await inputOf(hub, asked, turn);
    const streams = turn.emit !== undefined;
    const wants = streams ? asked.modes.filter((mode) => mode === 'custom' || mode === 'messages') : [];
    const { packer, spentMs } = metered(hub.packer);
    const run: Run = { runtime: runtime(), turn, packer, wants, ready: new Map(), firstSteps: new Map(), resumed };
    const config: RunConfig = {
      ...asked.config,
      signal: turn.scope.cancellation.signal,
      configurable: { ...asked.config.configurable, thread_id: turn.scope.sessionId, [runKey]: run },
    };
    try {
      const values = streams ? await streamed(hub, input, config, asked, turn) : await hub.graph.invoke(input, config);
      await throwIfPaused(hub, values, config);
      return toJson(values ?? null);
    } finally {
      tellPacking(turn, spentMs());
    }
  };
}

/** What the loop starts from: the input, or the answers to what this session waits for. */
async function inputOf(hub: HubParts, asked: Asked, turn: AgentTurn): Promise<{ input: unknown; resumed: boolean }> {
  const { name, kit, graph } = hub;
  if (asked.command !== undefined) return { input: new kit.Command(asked.command), resumed: true };
  // All answers of the request travel with every call of it; those of other components are theirs.
  const answers = new Map(Object.entries(turn.scope.resume ?? {}).filter(([id]) => id.startsWith(`${name}:`)));
  if (answers.size === 0) return { input: asked.input, resumed: false };
  const waiting = await waitingIn(graph, name, { configurable: { thread_id: turn.scope.sessionId } });
  const known = waiting.filter((pause) => answers.has(pause.id));
  if (known.length === 0) {
    const message = `${name} waits for no such answer in this session: it was given already, or the replica that knew is gone`;
    throw new CallError({ code: 'invalid', message, component: name });
  }
  const resume = Object.fromEntries(known.flatMap(({ id, interrupt }) => (interrupt === undefined ? [] : [[interrupt, answers.get(id)]])));
  // A breakpoint takes no value: the run only goes on.
  return { input: Object.keys(resume).length === 0 ? null : new kit.Command({ resume }), resumed: true };
}

/** Streams to the user what the request asked for, and gives the last state. */
async function streamed({ graph }: HubParts, input: unknown, config: RunConfig, asked: Asked, turn: AgentTurn): Promise<unknown> {
  const streamMode = [...new Set([...asked.modes, 'values' as const])];
  const told = new Set<string>(asked.modes);
  let values: unknown = null;
  let interrupts: readonly unknown[] = [];
  for await (const part of await graph.stream(input, { ...config, streamMode })) {
    const [mode, data] = part as [string, unknown];
    if (mode === 'values') {
      const found = interruptsIn(data);
      if (found.length > 0) interrupts = [...interrupts, ...found];
      else values = data;
    }
    if (told.has(mode)) turn.emit?.({ mode, data: toJson(data) ?? null });
  }
  return interrupts.length === 0 ? values : { ...(values as object | null), [writeKey.interrupt]: interrupts };
}

const interruptsIn = (values: unknown): readonly GraphInterruptValue[] => {
  const found = typeof values === 'object' && values !== null && writeKey.interrupt in values ? values[writeKey.interrupt] : undefined;
  return Array.isArray(found) ? found : [];
};

/** Something a thread waits for. */
interface Waiting {
  /** Unique in the session, and the same until it is answered. */
  readonly id: string;
  /** LangGraph's id of the interrupt; it knows a breakpoint by none. */
  readonly interrupt?: string;
  readonly prompt: unknown;
}

/**
 * What a thread waits for. All interrupts of one task have one id in LangGraph, so its answers so far are counted; and
 * where they are kept with a sub-graph instead, the question itself tells two apart.
 */
async function waitingIn(graph: CompiledGraph, hub: string, config: RunConfig): Promise<readonly Waiting[]> {
  const { checkpointer } = graph;
  if (typeof checkpointer !== 'object' || checkpointer === null) return [];
  const { tasks, next, config: at } = await graph.getState(config);
  const writes = (await checkpointer.getTuple?.(config))?.pendingWrites ?? [];
  // A task that ended in this superstep keeps its interrupts beside its results, until the others are done too.
  const unfinished = ([, key]: readonly [string, string, unknown]) =>
    key === writeKey.interrupt || key === writeKey.resume || key === '__error__';
  const done = new Set(writes.filter((write) => !unfinished(write)).map(([task]) => task));
  const interrupts = tasks.filter(({ id }) => !done.has(id)).flatMap((task) => task.interrupts ?? []);
  if (interrupts.length === 0 && next.length > 0) {
    return [{ id: `${hub}:breakpoint.${String(at?.configurable?.checkpoint_id ?? '')}`, prompt: { breakpoint: next } }];
  }
  const answersOf = (interrupt: string) => {
    const task = writes.find(
      ([, key, value]) => key === writeKey.interrupt && (value as GraphInterruptValue | undefined)?.id === interrupt,
    )?.[0];
    return writes.filter(([id, key]) => id === task && key === writeKey.resume).flatMap(([, , value]) => value).length;
  };
  return interrupts.map(({ id = '', value }) => {
    const prompt = toJson(value) ?? null;
    const digest = createHash('sha256')
      .update(canonicalJson(prompt) ?? '')
      .digest('hex')
      .slice(0, 8);
    return { id: `${hub}:${id}.${answersOf(id)}.${digest}`, interrupt: id, prompt };
  });
}

/** @throws CallError `inputRequired` when the run ended because somebody has to answer first */
async function throwIfPaused({ name, graph }: HubParts, values: unknown, config: RunConfig): Promise<void> {
  const breaks = graph.interruptBefore !== undefined || graph.interruptAfter !== undefined;
  if (interruptsIn(values).length === 0 && !breaks) return;
  const [pause] = await waitingIn(graph, name, { configurable: { thread_id: config.configurable?.thread_id } });
  if (pause !== undefined) throw inputRequired({ id: pause.id, component: name, prompt: pause.prompt });
}
