import { CallError, type InputRequest } from '../../../compiler/contracts/call-errors.ts';
import type { CompiledGraph, GraphInterruptValue, Kit, RunConfig } from '../../../compiler/frontends/langgraph/fields.ts';
import { writeKey } from '../../../compiler/frontends/langgraph/fields.ts';
import type { AgentHandler, AgentTurn } from '../agent-turn.ts';
import type { Runtime } from '../runtime.ts';
import { toJson } from './envelope.ts';
import { type Asked, readRequest } from './input.ts';
import { type Run, runKey } from './run.ts';

export interface HubParts {
  readonly name: string;
  readonly graph: CompiledGraph;
  readonly kit: Kit;
}

/** Runs the graph's own loop for one request. The session is the thread. */
export function hubHandler(hub: HubParts, runtime: () => Runtime): AgentHandler {
  return async (body, turn) => {
    const asked = readRequest(body, hub.graph);
    const { input, resumed } = await inputOf(hub, asked, turn);
    const streams = turn.emit !== undefined;
    const wants = streams ? asked.modes.filter((mode) => mode === 'custom' || mode === 'messages') : [];
    const run: Run = { runtime: runtime(), turn, wants, ready: new Map(), firstSteps: new Map(), resumed };
    const config: RunConfig = {
      ...asked.config,
      signal: turn.scope.cancellation.signal,
      configurable: { ...asked.config.configurable, thread_id: turn.scope.sessionId, [runKey]: run },
    };
    const values = streams ? await streamed(hub, input, config, asked, turn) : await hub.graph.invoke(input, config);
    await throwIfPaused(hub, values, config);
    return toJson(values ?? null);
  };
}

/** Prefix of the ids of this hub's pauses, so that answers to those of other components are left to them. */
const ownIds = (hub: string) => `${hub}:`;
/** Stands for a breakpoint given to `compile`, which LangGraph knows by no id. */
const breakpoint = 'breakpoint';

/** What the loop starts from: the input, or the answers to what this session waits for. */
async function inputOf(hub: HubParts, asked: Asked, turn: AgentTurn): Promise<{ input: unknown; resumed: boolean }> {
  const { name, kit, graph } = hub;
  if (asked.command !== undefined) return { input: new kit.Command(asked.command), resumed: true };
  const answers = Object.entries(turn.scope.resume ?? {}).filter(([id]) => id.startsWith(ownIds(name)));
  if (answers.length === 0) return { input: asked.input, resumed: false };
  const ids = answers.map(([id]) => id.slice(ownIds(name).length));
  const waiting = hasCheckpointer(graph) ? await pausesOf(graph, { configurable: { thread_id: turn.scope.sessionId } }) : [];
  const known = ids.filter((id) => waiting.some((pause) => (pause.id ?? breakpoint) === id));
  if (known.length === 0) {
    const message = `${name} waits for no such answer in this session: it was given already, or the replica that knew is gone`;
    throw new CallError({ code: 'invalid', message, component: name });
  }
  if (known.includes(breakpoint)) return { input: null, resumed: true };
  const resume = Object.fromEntries(answers.map(([id, value]) => [id.slice(ownIds(name).length), value]).filter(([id]) => known.includes(String(id))));
  return { input: new kit.Command({ resume }), resumed: true };
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

const hasCheckpointer = (graph: CompiledGraph) => typeof graph.checkpointer === 'object' && graph.checkpointer !== null;

/** What a thread waits for; a breakpoint has no id. */
async function pausesOf(graph: CompiledGraph, config: RunConfig): Promise<readonly GraphInterruptValue[]> {
  const { tasks, next } = await graph.getState(config);
  const interrupts = tasks.flatMap((task) => task.interrupts ?? []);
  return interrupts.length > 0 || next.length === 0 ? interrupts : [{ value: { breakpoint: next } }];
}

/** @throws CallError `inputRequired` when the run ended because somebody has to answer first */
async function throwIfPaused({ name, graph }: HubParts, values: unknown, config: RunConfig): Promise<void> {
  const breaks = graph.interruptBefore !== undefined || graph.interruptAfter !== undefined;
  const told = interruptsIn(values);
  const [pause] = told.length > 0 || !breaks || !hasCheckpointer(graph) ? told : await pausesOf(graph, config);
  if (pause === undefined) return;
  const request: InputRequest = { id: `${ownIds(name)}${pause.id ?? breakpoint}`, component: name, prompt: toJson(pause.value) ?? null };
  throw new CallError({ code: 'inputRequired', message: `${name} waits for an answer`, component: name, details: request });
}
