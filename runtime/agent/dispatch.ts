import type { CodeTool } from '../../compiler/api/definitions.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import type { Delivery } from './delivery.ts';
import { Slots } from './slots.ts';

/** Something of this process that takes messages: an agent or a tool server. */
export interface Component {
  readonly name: string;
  /** Turns at a time. */
  readonly concurrency: number;
  /** One turn. `queueMs`: how long it waited for its slot. */
  run(delivery: Delivery, queueMs: number): Promise<unknown>;
}

interface Place {
  readonly component: Component;
  readonly slots: Slots;
}

/** Gives each turn a slot of its component. */
export class Dispatcher {
  readonly #places: ReadonlyMap<string, Place>;

  readonly #tools: ReadonlyMap<string, CodeTool>;

  constructor(components: readonly Component[], tools: ReadonlyMap<string, CodeTool>, queueLimit: number) {
    this.#tools = tools;
    this.#places = new Map(
      components.map((component) => [component.name, { component, slots: new Slots(component.name, component.concurrency, queueLimit) }]),
    );
  }

  has(component: string): boolean {
    return this.#places.has(component);
  }

  /** A tool whose code is in this process. */
  localTool(name: string): CodeTool | undefined {
    return this.#tools.get(name);
  }

  /**
   * Begins a turn or queues it; what it returns settles with the turn, which may be after its request ended: whoever waits
   * watches the end for himself (hop.ts in this process, the protocol over a wire). Throws at once when the message is not accepted.
   * `admitted`: a queue before this one took it already (topics), so it may wait beyond the limit.
   *
   * @throws CallError `overloaded`, `unknown`
   */
  start(delivery: Delivery, admitted = false): Promise<unknown> {
    const place = this.#places.get(delivery.to);
    if (place === undefined) throw unknownComponent(delivery.to);
    const { cancellation, ancestors } = delivery.scope;
    const pass = place.slots.enter(cancellation, ancestors.includes(delivery.to), admitted);
    if (pass.ready === undefined) return this.#turn(place.component, delivery, pass.release, 0);
    return pass.ready.then(() => this.#turn(place.component, delivery, pass.release, pass.queueMs()));
  }

  /** The slot is held until the handler is really done, though its caller may have been answered before. */
  async #turn(component: Component, delivery: Delivery, release: () => void, queueMs: number): Promise<unknown> {
    try {
      return await component.run(delivery, queueMs);
    } finally {
      release();
    }
  }

  stats() {
    return [...this.#places.values()].map(({ component, slots }) => ({
      component: component.name,
      concurrency: slots.limit,
      inUse: slots.inUse,
      waiting: slots.waiting,
    }));
  }
}

export const unknownComponent = (component: string) =>
  new CallError({ code: 'unknown', message: `there is no component ${component} here`, component, neverStarted: true });

/**
 * An error on its way out of a handler that ran: it says no more that nothing started, which was true of a callee at
 * most, and it names where it happened.
 */
export function escaped(error: CallError, component: string): CallError {
  if (error.value.neverStarted !== true && error.value.component !== undefined) return error;
  const { neverStarted: _, ...value } = error.value;
  return new CallError({ component, ...value }, { cause: error.cause ?? error });
}
