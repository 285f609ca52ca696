import type { BlackboardRef, KeyValue } from '../../compiler/api/definitions.ts';
import type { BindAddress, ProcessBinding } from '../../compiler/contracts/binding.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { StateStore } from '../state/store.ts';
import { requireJson } from './json-safe.ts';
import type { UnitProgram } from './program.ts';
import { check } from './schema-check.ts';

/** Session state and blackboards of the agents of one unit, over one store that is opened when first used. */
export class UnitState {
  readonly #open: () => Promise<StateStore>;
  #store: Promise<StateStore> | undefined;

  constructor(open: () => Promise<StateStore>) {
    this.#open = open;
  }

  /** What an agent remembers of a session: nobody else sees it. */
  session(agent: string, sessionId: string): KeyValue {
    return this.#view(`session/${encodeURIComponent(sessionId)}/${encodeURIComponent(agent)}/`, agent, (value) => value);
  }

  /** Shared by all agents that declare the blackboard. */
  blackboard(board: BlackboardRef, agent: string): KeyValue {
    return this.#view(`blackboard/${encodeURIComponent(board.name)}/`, agent, (value) => check(board.value, value, board.name, 'state'));
  }

  /** The service moved: the next use connects anew. */
  async reset(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await (await store?.catch(() => undefined))?.close();
  }

  async close(): Promise<void> {
    await this.reset();
  }

  /** A failed opening is tried again by the next use. */
  #opened(): Promise<StateStore> {
    this.#store ??= this.#open().catch((error) => {
      this.#store = undefined;
      throw error;
    });
    return this.#store;
  }

  #view(prefix: string, component: string, checked: (value: unknown) => unknown): KeyValue {
    const store = () => this.#opened();
    const accepted = (value: unknown) => {
      const result = checked(value);
      requireJson(result, component, 'state');
      return result;
    };
    return {
      get: (key) => asCall(component, async () => (await (await store()).get(prefix + key))?.value),
      set: (key, value) => asCall(component, async () => void (await (await store()).put(prefix + key, accepted(value)))),
      delete: (key) => asCall(component, async () => (await store()).delete(prefix + key)),
      update: (key, change) =>
        asCall(component, async () => compareAndSwap(await store(), prefix + key, (value) => accepted(change(value)))),
    };
  }
}

/** Tries until nobody wrote between reading and writing; `change` gets a value of its own each time. */
async function compareAndSwap(store: StateStore, key: string, change: (current: unknown) => unknown): Promise<unknown> {
  for (;;) {
    const current = await store.get(key);
    const next = change(current === undefined ? undefined : structuredClone(current.value));
    if (await store.put(key, next, current?.version ?? 0)) return next;
  }
}

async function asCall<T>(component: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof CallError ? error : toCallError(error, component);
  }
}

/** The store the plan names: in this process, or behind the state service. */
export function storeOpener(
  program: UnitProgram,
  binding: ProcessBinding,
  serviceAt: () => BindAddress | undefined,
): () => Promise<StateStore> {
  const { state } = program.unit;
  return async () => {
    if (state.address === undefined) return (await program.store.load()).open(binding.stateDir, state.options);
    const at = serviceAt();
    if (at === undefined) throw new CallError({ code: 'unavailable', message: `the state service ${state.address} is not known yet` });
    return (await import('../state/client.ts')).connectStateService(at);
  };
}
