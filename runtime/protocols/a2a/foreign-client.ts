import { randomUUID } from 'node:crypto';
import type { Message, SendMessageRequest, StreamResponse, Task } from '@a2a-js/sdk';
import { A2A_VERSION_HEADER, Role } from '@a2a-js/sdk';
import { CallError, type ReplicaAddress } from '../../../compiler/contracts/index.ts';
import type { Connection, OutgoingCall } from '../protocol.ts';
import { cancelledError } from '../wire/errors.ts';
import { encodeMeta } from '../wire/meta.ts';
import { OpenCalls, watchCall } from '../wire/outgoing.ts';
import { agentMessage } from './extension.ts';
import { failureOf } from './failures.ts';
import { ForeignAgent, type Interface } from './foreign-agent.ts';
import { type Answer, inputRequired, isOver, isPaused, outcomeOf, pauseFor, TaskBuilder } from './foreign-task.ts';
import { partsFor } from './parts.ts';
import type { A2aOptions } from './server.ts';

/** An agent somebody else built, found by its card and spoken to as any A2A client would. */
export function connectForeign(to: ReplicaAddress, options: A2aOptions): Connection {
  const agent = new ForeignAgent(to, options);
  const open = new OpenCalls();
  return {
    async call(call) {
      const calling = run(agent, open, call);
      for (;;) {
        const next = await calling.next();
        if (next.done) return next.value;
      }
    },
    stream: (call) => run(agent, open, call),
    async close() {
      open.close();
      await agent.close();
    },
  };
}

/** Yields the chunks of a stream; other patterns have none. */
async function* run(agent: ForeignAgent, open: OpenCalls, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  const controller = new AbortController();
  let stop: (error: CallError) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  stopped.catch(() => {});
  const release = watchCall(call, (error) => stop(error), open);
  const conversation: Conversation = { call, signal: controller.signal, task: undefined, onTask: undefined };
  let face: Interface | undefined;
  let over = false;
  try {
    // The card is shared by all calls; one that is cancelled must not end the question for it.
    face = await Promise.race([agent.interface(), stopped]);
    const chunks = converse(face, conversation);
    let next = await Promise.race([chunks.next(), stopped]);
    for (; !next.done; next = await Promise.race([chunks.next(), stopped])) if (call.pattern === 'stream') yield next.value;
    over = true;
    return next.value;
  } catch (error) {
    throw failureOf(error, call.target);
  } finally {
    release();
    const end = () => controller.abort(cancelledError(call.target));
    if (over || face === undefined) end();
    else leave(face, conversation, end);
  }
}

interface Conversation {
  readonly call: OutgoingCall;
  readonly signal: AbortSignal;
  /** As soon as the agent has said that there is one. */
  task: Task | undefined;
  /** Told when it is said. */
  onTask: (() => void) | undefined;
}

function known(conversation: Conversation, task: Task | undefined): void {
  const first = conversation.task === undefined && task !== undefined;
  conversation.task = task;
  if (first) conversation.onTask?.();
}

/** How long an agent gets to take note that its task is not wanted any more. */
const cancelNoticeMs = 5000;

/** Leaving does not end a task in A2A; its agent has to be told, and for that the task's name is waited for. */
function leave(face: Interface, conversation: Conversation, end: () => void): void {
  const tell = () => {
    clearTimeout(timer);
    end();
    const { task } = conversation;
    if (task !== undefined && !isOver(task) && !isPaused(task)) tellCancelled(face, task.id);
  };
  const timer = setTimeout(tell, cancelNoticeMs);
  // Nobody waits for this, so it keeps no process alive.
  timer.unref();
  if (conversation.task === undefined) conversation.onTask = tell;
  else tell();
}

function tellCancelled({ transport, tenant, version }: Interface, id: string): void {
  const options = { signal: AbortSignal.timeout(cancelNoticeMs), headers: { [A2A_VERSION_HEADER]: version } };
  // It may have ended meanwhile, or not know how to cancel: nobody waits for the answer.
  transport.cancelTask({ id, tenant, metadata: undefined }, options).catch(() => {});
}

async function* converse(face: Interface, conversation: Conversation): AsyncGenerator<unknown, unknown> {
  const { call, signal } = conversation;
  const { transport } = face;
  const answer = pauseFor(call);
  const started = performance.now();
  const request = requestFor(face, call, answer);
  const headers = headersFor(face, call);
  call.wire.requestBytes = Buffer.byteLength(JSON.stringify(request.message?.parts ?? []));
  call.wire.serializeMs += performance.now() - started;
  const options = { signal, headers };
  const oneWay = call.pattern === 'send' || call.pattern === 'publish';
  let reply: Message | Task;
  try {
    reply =
      face.streams && !oneWay
        ? yield* follow(conversation, transport.sendMessageStream(request, options))
        : await transport.sendMessage(request, options);
  } catch (error) {
    // Asked again for a task that was answered before: what came of it still stands.
    const task =
      answer === undefined || signal.aborted
        ? undefined
        : await transport.getTask({ id: answer.taskId, tenant: face.tenant }, options).catch(() => undefined);
    if (task === undefined || !isOver(task)) throw error;
    reply = task;
  }
  if (oneWay) return undefined;
  if (face.losesPieces && face.streams && !('messageId' in reply))
    reply = await transport.getTask({ id: reply.id, tenant: face.tenant }, options);
  const last = 'messageId' in reply ? reply : await settled(face, conversation, reply);
  const parts = 'messageId' in last ? last.parts : last.artifacts.flatMap((artifact) => artifact.parts);
  call.wire.responseBytes += Buffer.byteLength(JSON.stringify(parts));
  if (!('messageId' in last) && isPaused(last)) throw inputRequired(call.target, last);
  return outcomeOf(call.target, last);
}

/** Reads a stream to its end and yields what the agent said on the way. */
async function* follow(conversation: Conversation, events: AsyncGenerator<StreamResponse>): AsyncGenerator<unknown, Message | Task> {
  const builder = new TaskBuilder();
  for await (const event of events) {
    const { chunk, message } = builder.take(event);
    if (message !== undefined) return message;
    known(conversation, builder.task);
    if (chunk !== undefined) yield chunk.value;
    if (builder.task !== undefined && (isOver(builder.task) || isPaused(builder.task))) return builder.task;
  }
  if (builder.task === undefined)
    throw new CallError({ code: 'unavailable', message: `${conversation.call.target} cannot be reached: the stream broke off` });
  return builder.task;
}

const firstPollMs = 50;
const longestPollMs = 1000;

/** The task once it has ended or waits for an answer; asked for again and again while it is at work. */
async function settled({ transport, tenant, version }: Interface, conversation: Conversation, first: Task): Promise<Task> {
  const { signal } = conversation;
  let task = first;
  for (let waitMs = firstPollMs; !isOver(task) && !isPaused(task); waitMs = Math.min(waitMs * 2, longestPollMs)) {
    known(conversation, task);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, waitMs);
      signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          reject(signal.reason);
        },
        { once: true },
      );
    });
    task = await transport.getTask({ id: task.id, tenant }, { signal, headers: { [A2A_VERSION_HEADER]: version } });
  }
  return task;
}

/** The session is the context, so that an agent that remembers knows who it talks to. */
function requestFor({ tenant }: Interface, call: OutgoingCall, answer: Answer | undefined): SendMessageRequest {
  const oneWay = call.pattern === 'send' || call.pattern === 'publish';
  const ids = answer === undefined ? { contextId: call.meta.sessionId } : { contextId: answer.contextId, taskId: answer.taskId };
  const message = agentMessage(partsFor(answer === undefined ? call.body : answer.value), {
    messageId: randomUUID(),
    role: Role.ROLE_USER,
    ...ids,
  });
  const configuration = {
    acceptedOutputModes: ['application/json', 'text/plain'],
    taskPushNotificationConfig: undefined,
    returnImmediately: oneWay,
  };
  return { tenant, message, configuration, metadata: undefined };
}

/** W3C trace context and the version; the rest of our meta means nothing to a stranger. */
function headersFor({ version }: Interface, call: OutgoingCall): Record<string, string> {
  const headers: Record<string, string> = { [A2A_VERSION_HEADER]: version };
  const { headers: pairs } = encodeMeta({ ...call.meta, extra: {}, resume: {} });
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i] ?? '';
    if (name === 'traceparent' || name === 'tracestate' || name === 'baggage') headers[name] = pairs[i + 1] ?? '';
  }
  return headers;
}
