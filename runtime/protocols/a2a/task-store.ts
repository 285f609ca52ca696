import { type ListTasksRequest, type Task, TaskState } from '@a2a-js/sdk';
import { InMemoryTaskStore, type ServerCallContext, type TaskStore } from '@a2a-js/sdk/server';

/** Tasks of strangers one component remembers; an ended one is forgotten first, then the oldest. */
const limit = 1000;

const over: ReadonlySet<TaskState | undefined> = new Set([
  TaskState.TASK_STATE_COMPLETED,
  TaskState.TASK_STATE_FAILED,
  TaskState.TASK_STATE_CANCELED,
  TaskState.TASK_STATE_REJECTED,
]);

interface Saved {
  readonly task: Task;
  readonly context: ServerCallContext;
}

/** The SDK's own store never forgets; a unit runs for months. */
export class RecentTasks implements TaskStore {
  readonly #tasks = new Map<string, Saved>();
  readonly #forgotten: (taskId: string, context: ServerCallContext) => void;
  readonly #limit: number;

  constructor(forgotten: (taskId: string, context: ServerCallContext) => void, most = limit) {
    this.#forgotten = forgotten;
    this.#limit = most;
  }

  async save(task: Task, context: ServerCallContext): Promise<void> {
    const known = this.#tasks.get(task.id);
    this.#tasks.set(task.id, { task: structuredClone(task), context: known?.context ?? context });
    if (known === undefined && this.#tasks.size > this.#limit) this.#forgetOne(task.id);
  }

  async load(taskId: string): Promise<Task | undefined> {
    return structuredClone(this.#tasks.get(taskId)?.task);
  }

  /** Filters and pages are the SDK's. */
  async list(request: ListTasksRequest, context: ServerCallContext): ReturnType<TaskStore['list']> {
    const store = new InMemoryTaskStore();
    for (const { task } of this.#tasks.values()) await store.save(task, context);
    return store.list(request, context);
  }

  #forgetOne(except: string): void {
    const candidates = [...this.#tasks].filter(([id]) => id !== except);
    const found = candidates.find(([, { task }]) => over.has(task.status?.state)) ?? candidates[0];
    if (found === undefined) return;
    const [id, { context }] = found;
    this.#tasks.delete(id);
    this.#forgotten(id, context);
  }
}
