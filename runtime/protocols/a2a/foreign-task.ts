import { type Artifact, type Message, type StreamResponse, type Task, TaskState } from '@a2a-js/sdk';
import { CallError, type InputRequest } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { cancelledError } from '../wire/errors.ts';
import { errorIn } from './extension.ts';
import { dataOf, outputFrom, outputOfTask, textOf } from './parts.ts';

/** What the tasks of a stranger's agent mean to our callers. */

const ended: ReadonlySet<TaskState | undefined> = new Set([
  TaskState.TASK_STATE_COMPLETED,
  TaskState.TASK_STATE_FAILED,
  TaskState.TASK_STATE_CANCELED,
  TaskState.TASK_STATE_REJECTED,
  // Nobody here can log in for it, so it is over for us.
  TaskState.TASK_STATE_AUTH_REQUIRED,
]);

export const isOver = (task: Task): boolean => ended.has(task.status?.state);
export const isPaused = (task: Task): boolean => task.status?.state === TaskState.TASK_STATE_INPUT_REQUIRED;

/** @throws CallError when the task did not complete */
export function outcomeOf(target: string, last: Message | Task): unknown {
  if ('messageId' in last) {
    const error = errorIn(last.metadata);
    if (error !== undefined) throw error;
    return outputFrom(last.parts);
  }
  const { status, metadata } = last;
  if (status?.state === TaskState.TASK_STATE_COMPLETED) return outputOfTask(last);
  const why = textOf(status?.message?.parts ?? []) ?? JSON.stringify(dataOf(status?.message?.parts ?? [])?.value ?? 'without a word');
  const known = errorIn(metadata);
  if (known !== undefined) throw known;
  if (status?.state === TaskState.TASK_STATE_CANCELED) {
    throw new CallError({ ...cancelledError(target).value, message: `${target} cancelled its task: ${why}`, component: target });
  }
  const what =
    status?.state === TaskState.TASK_STATE_REJECTED
      ? 'rejected the task'
      : status?.state === TaskState.TASK_STATE_AUTH_REQUIRED
        ? 'asks for credentials'
        : 'failed';
  throw new CallError({ code: 'failed', message: `${target} ${what}: ${why}`, component: target });
}

/** A task of a stranger that an answer is for. */
export interface Answer {
  readonly contextId: string;
  readonly taskId: string;
  readonly value: unknown;
}

const prefixOf = (target: string) => `a2a:${encodeURIComponent(target)}:`;

/**
 * The stranger's question as ours. Its ids are part of the name of the pause, so any replica can take the answer back; the
 * message's id tells two questions of one task apart.
 */
export function inputRequired(target: string, task: Task): CallError {
  const parts = task.status?.message?.parts ?? [];
  const prompt = dataOf(parts)?.value ?? textOf(parts) ?? '';
  const ids = [task.contextId, task.id, task.status?.message?.messageId ?? ''];
  const details: InputRequest = { id: prefixOf(target) + ids.map(encodeURIComponent).join(':'), component: target, prompt };
  return new CallError({
    code: 'inputRequired',
    message: `${target} asks: ${textOf(parts) ?? JSON.stringify(prompt)}`,
    component: target,
    details,
  });
}

/** The latest answer in a call's meta to a question of this agent. */
export function pauseFor({ target, meta }: OutgoingCall): Answer | undefined {
  const prefix = prefixOf(target);
  const id = Object.keys(meta.resume ?? {}).findLast((name) => name.startsWith(prefix));
  if (id === undefined) return undefined;
  const [contextId = '', taskId = ''] = id.slice(prefix.length).split(':').map(decodeURIComponent);
  return { contextId, taskId, value: meta.resume?.[id] };
}

/** Puts the events of a stream together to the task they are about. */
export class TaskBuilder {
  task: Task | undefined;

  /** `chunk`: what the agent said with this event. `message`: the whole answer of an agent that keeps no tasks. */
  take({ payload }: StreamResponse): { readonly chunk?: { readonly value: unknown }; readonly message?: Message } {
    if (payload?.$case === 'message') return { message: payload.value };
    if (payload?.$case === 'task') {
      this.task = payload.value;
      return {};
    }
    if (payload?.$case === 'statusUpdate') {
      const { taskId, contextId, status, metadata } = payload.value;
      this.#ensure(taskId, contextId);
      this.task = { ...(this.task as Task), status, metadata: { ...this.task?.metadata, ...metadata } };
      const working = status?.state === TaskState.TASK_STATE_WORKING && status.message !== undefined;
      return working ? chunkOf(status.message?.parts) : {};
    }
    if (payload?.$case === 'artifactUpdate' && payload.value.artifact !== undefined) {
      const { taskId, contextId, artifact, append } = payload.value;
      this.#ensure(taskId, contextId);
      this.#artifact(artifact, append);
      return chunkOf(artifact.parts);
    }
    return {};
  }

  #ensure(id: string, contextId: string): void {
    this.task ??= { id, contextId, status: undefined, artifacts: [], history: [], metadata: undefined };
  }

  #artifact(artifact: Artifact, append: boolean): void {
    const artifacts = this.task?.artifacts ?? [];
    const index = artifacts.findIndex(({ artifactId }) => artifactId === artifact.artifactId);
    const known = artifacts[index];
    if (known === undefined) artifacts.push(artifact);
    else artifacts[index] = append ? { ...known, parts: [...known.parts, ...artifact.parts] } : artifact;
  }
}

/** A text alone is a chunk as it is: pieces of one text are what strangers stream. */
function chunkOf(parts: Message['parts'] = []): { readonly chunk?: { readonly value: unknown } } {
  const value = dataOf(parts)?.value ?? textOf(parts);
  return value === undefined ? {} : { chunk: { value } };
}
