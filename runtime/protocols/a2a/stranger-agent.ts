import { randomUUID } from 'node:crypto';
import { type Message, Role, type Task, TaskState } from '@a2a-js/sdk';
import { AgentEvent, type AgentExecutor, type ExecutionEventBus, type RequestContext } from '@a2a-js/sdk/server';
import { type CallError, type InputRequest, type Pattern, toCallError } from '../../../compiler/contracts/index.ts';
import { type CallMeta, type ServedComponent, stranger } from '../protocol.ts';
import { cancelledError, drainingError, invalidError } from '../wire/errors.ts';
import { serveCall } from '../wire/incoming.ts';
import { exchangeOf } from './exchange.ts';
import { agentMessage, errorMetadata, extensionUri, textPart, traceOf } from './extension.ts';
import type { Serving } from './own-calls.ts';
import { dataOf, inputFrom, partsOf, textOf } from './parts.ts';

/** Set in the context's state when the stranger asked for a stream. */
export const streamingKey = 'dmas-opt streaming';

/** A component as an agent of the SDK's server, for callers that know nothing of us: every call is a task. */
export class StrangerAgent implements AgentExecutor {
  readonly #serving: Serving;
  readonly #component: () => ServedComponent;
  readonly #deadlineMs: number;
  readonly #contexts = new WeakMap<ExecutionEventBus, string>();
  readonly #cancels = new Map<string, (error: CallError) => void>();

  /** @param component asked anew with each call, since discovered tools come and go */
  constructor(serving: Serving, component: () => ServedComponent, deadlineMs: number) {
    this.#serving = serving;
    this.#component = component;
    this.#deadlineMs = deadlineMs;
  }

  /** Settles when the task has ended or waits for an answer; never rejects. */
  async execute(context: RequestContext, bus: ExecutionEventBus): Promise<void> {
    const { inFlight } = this.#serving;
    const component = this.#component();
    const { taskId, contextId } = context;
    const ids = { taskId, contextId };
    const status = (state: TaskState, message?: Message, metadata?: Record<string, unknown>) =>
      bus.publish(
        AgentEvent.statusUpdate({
          ...ids,
          status: { state, message, timestamp: new Date().toISOString() },
          metadata,
        }),
      );
    const artifact = (value: unknown, append: boolean, lastChunk: boolean) => {
      const described = { artifactId: 'output', name: 'output', description: '', metadata: undefined, extensions: [] };
      bus.publish(
        AgentEvent.artifactUpdate({ ...ids, artifact: { ...described, parts: partsOf(value) }, append, lastChunk, metadata: undefined }),
      );
    };
    inFlight.begin();
    this.#contexts.set(bus, contextId);
    bus.publish(AgentEvent.task(working(context)));
    try {
      if (inFlight.draining) throw drainingError(component.name);
      let chunks = 0;
      const served = serveCall(this.#serving.handler, incomingOf(component, context, this.#deadlineMs), (chunk) =>
        artifact(chunk, chunks++ > 0, false),
      );
      this.#cancels.set(taskId, (error) => served.cancel(error));
      const output = await served.result;
      // The whole output takes the place of its chunks.
      artifact(output, false, true);
      status(TaskState.TASK_STATE_COMPLETED);
    } catch (thrown) {
      const error = toCallError(thrown, component.name);
      const message = (parts = [textPart(error.message)]) => agentMessage(parts, ids);
      if (error.code === 'inputRequired') {
        const { id, prompt } = requestOf(error);
        status(TaskState.TASK_STATE_INPUT_REQUIRED, message(promptParts(prompt)), { [extensionUri]: { paused: id } });
      } else if (error.code === 'cancelled') status(TaskState.TASK_STATE_CANCELED, message());
      else status(refused.has(error.code) ? TaskState.TASK_STATE_REJECTED : TaskState.TASK_STATE_FAILED, message(), errorMetadata(error));
    } finally {
      this.#cancels.delete(taskId);
      inFlight.end();
    }
  }

  async cancelTask(taskId: string, bus: ExecutionEventBus): Promise<void> {
    const cancel = this.#cancels.get(taskId);
    if (cancel !== undefined) {
      cancel(cancelledError(this.#component().name));
      return;
    }
    // It waits for an answer, so nothing runs that could say how it ended.
    const status = { state: TaskState.TASK_STATE_CANCELED, message: undefined, timestamp: new Date().toISOString() };
    bus.publish(AgentEvent.statusUpdate({ taskId, contextId: this.#contexts.get(bus) ?? '', status, metadata: undefined }));
    bus.finished();
  }
}

/** The agent would not take the task, rather than fail at it. */
const refused: ReadonlySet<CallError['code']> = new Set(['invalid', 'unknown', 'overloaded']);

function incomingOf(component: ServedComponent, { userMessage, task, context, contextId }: RequestContext, deadlineMs: number) {
  const exchange = exchangeOf(context);
  const { kind, name, streams } = component;
  const paused = pausedOf(task);
  // The answer goes to the pause; the call is the one that was paused, with its own input.
  const asked = (paused === undefined ? undefined : task?.history.find(({ role }) => role === Role.ROLE_USER)) ?? userMessage;
  const { body, tool } = kind === 'agent' ? { body: inputFrom(asked.parts, component.input), tool: undefined } : toolCall(component, asked);
  const meta: CallMeta = {
    requestId: randomUUID(),
    sessionId: contextId,
    from: stranger,
    channel: '',
    remainingMs: deadlineMs,
    attempt: 1,
    trace: traceOf(exchange.header),
    ...(paused === undefined ? {} : { resume: { [paused]: answerIn(userMessage) } }),
    extra: { message: userMessage.messageId, ...(tool === undefined ? {} : { tool }) },
  };
  const pattern: Pattern = streams && context.state.get(streamingKey) === true ? 'stream' : 'request';
  const requestBytes = userMessage.parts.reduce((sum, { content }) => sum + Buffer.byteLength(JSON.stringify(content?.value ?? '')), 0);
  return { target: name, pattern, body, meta, wire: { requestBytes, deserializeMs: exchange.parseMs } };
}

/** Which tool: the message's metadata `skill`, a data part `{ skill, input }`, or the only one there is. */
function toolCall({ tools, name }: ServedComponent, message: Message): { readonly body: unknown; readonly tool: string } {
  const data = dataOf(message.parts)?.value as { readonly skill?: unknown; readonly input?: unknown } | null | undefined;
  const wrapped = typeof data === 'object' && data !== null && typeof data.skill === 'string';
  const named = message.metadata?.skill ?? (wrapped ? data.skill : undefined) ?? (tools.length === 1 ? tools[0]?.name : undefined);
  const tool = tools.find((candidate) => candidate.name === named);
  if (tool === undefined) {
    const known = tools.map((candidate) => candidate.name).join(', ');
    throw invalidError(`${name} has several tools: say which in a data part { "skill": name, "input": … }; there are ${known}`);
  }
  return { body: wrapped ? data.input : inputFrom(message.parts, tool.input), tool: tool.name };
}

function working({ taskId, contextId, task, userMessage }: RequestContext): Task {
  return {
    id: taskId,
    contextId,
    status: { state: TaskState.TASK_STATE_WORKING, message: undefined, timestamp: new Date().toISOString() },
    artifacts: [],
    history: task?.history ?? [userMessage],
    // A pause that is being answered is over.
    metadata: task === undefined ? undefined : { ...task.metadata, [extensionUri]: {} },
  };
}

/** The id of the pause a task is in. */
function pausedOf(task: Task | undefined): string | undefined {
  const paused = (task?.metadata?.[extensionUri] as { readonly paused?: unknown } | undefined)?.paused;
  return task?.status?.state === TaskState.TASK_STATE_INPUT_REQUIRED && typeof paused === 'string' ? paused : undefined;
}

/** A person answers with words, a program perhaps with data. */
function answerIn(message: Message): unknown {
  const data = dataOf(message.parts);
  return data === undefined ? (textOf(message.parts) ?? '') : data.value;
}

function requestOf(error: CallError): Pick<InputRequest, 'id' | 'prompt'> {
  const { id, prompt } = (error.value.details ?? {}) as Partial<InputRequest>;
  return { id: id ?? '', prompt: prompt ?? error.message };
}

function promptParts(prompt: unknown) {
  const parts = partsOf(prompt);
  // A client that shows text only must have something to show.
  return textOf(parts) === undefined ? [...parts, textPart(JSON.stringify(prompt))] : parts;
}
