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

/** The SDK's own store never forgets; a unit runs for months. */
export class RecentTasks implements TaskStore {
  readonly #tasks = new Map<string, Task>();
  readonly #limit: number;

  constructor(most = limit) {
    this.#limit = most;
  }

  async save(task: Task): Promise<void> {
    const known = this.#tasks.has(task.id);
    this.#tasks.set(task.id, structuredClone(task));
    if (!known && this.#tasks.size > this.#limit) this.#forgetOne(task.id);
  }

  async load(taskId: string): Promise<Task | undefined> {
    return structuredClone(this.#tasks.get(taskId));
  }

  /** Filters and pages are the SDK's. */
  async list(request: ListTasksRequest, context: ServerCallContext) {
    const store = new InMemoryTaskStore();
    for (const task of this.#tasks.values()) await store.save(task, context);
    return store.list(request, context);
  }

  #forgetOne(except: string): void {
    let oldest: string | undefined;
    for (const [id, task] of this.#tasks) {
      if (id === except) continue;
      oldest ??= id;
      if (!over.has(task.status?.state)) continue;
      this.#tasks.delete(id);
      return;
    }
    if (oldest !== undefined) this.#tasks.delete(oldest);
  }
}
