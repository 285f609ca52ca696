import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context, ContextManager } from '@opentelemetry/api';
import { ROOT_CONTEXT } from '@opentelemetry/api';

/**
 * The OpenTelemetry context of user code, so that spans a handler makes nest under its turn.
 *
 * On Node 20 an AsyncLocalStorage that is in use makes every promise of the process dearer (await loops were seen to take
 * twice as long), traced or not. So it is switched off whenever no traced turn is under way; our own spans pass their
 * context by hand and never need it.
 */
export class TurnContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  #turns = 0;

  active(): Context {
    return this.#turns === 0 ? ROOT_CONTEXT : (this.#storage.getStore() ?? ROOT_CONTEXT);
  }

  /** Runs a traced turn; its context lasts until the promise settles. */
  async turn<T>(context: Context, work: () => Promise<T>): Promise<T> {
    this.#turns++;
    try {
      return await this.#storage.run(context, work);
    } finally {
      this.#turns--;
      if (this.#turns === 0) this.#storage.disable();
    }
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    // Outside of turns this is the exporter marking its own work as not to be traced; we instrument nothing it calls.
    if (this.#turns === 0) return fn.call(thisArg as ThisParameterType<F>, ...args);
    return this.#storage.run(context, () => fn.call(thisArg as ThisParameterType<F>, ...args));
  }

  bind<T>(context: Context, target: T): T {
    if (typeof target !== 'function') return target;
    const manager = this;
    const bound = function (this: never, ...args: unknown[]) {
      return manager.with(context, () => target.apply(this, args));
    };
    return bound as T;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}
