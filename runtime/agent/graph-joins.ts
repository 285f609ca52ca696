import { CallError } from '../../compiler/contracts/call-errors.ts';
import type { Cancellation } from './cancellation.ts';
import type { GraphReply, GraphState } from './graph-shape.ts';

/** A branch that came to a join. */
export interface Arrival<Path> {
  /** Place among the branches of the fork, in declared order. */
  readonly branch: number;
  readonly step: number;
  readonly updates: readonly GraphState[];
  readonly path: Path;
}

interface Waiting<Path> {
  readonly arrivals: Map<number, Arrival<Path>>;
  readonly settle: Map<number, { resolve(reply: GraphReply): void; reject(error: unknown): void }>;
  readonly off: (() => void)[];
}

/**
 * The joins of this process that wait for branches. Each ends in one of three ways: all branches came, a branch's request
 * ended (its fork was cancelled, the deadline passed), and then all that wait are let go.
 */
export class GraphJoins {
  readonly #waiting = new Map<string, Waiting<never>>();

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves with what comes behind the join for the first branch in declared order, with `merged` for the others.
   * `carryOn` runs once, with the arrivals in declared order, never in order of arrival.
   */
  arrive<Path>(
    key: string,
    expected: number,
    arrival: Arrival<Path>,
    cancellation: Cancellation,
    carryOn: (arrivals: readonly Arrival<Path>[]) => Promise<GraphReply>,
  ): Promise<GraphReply> {
    return new Promise((resolve, reject) => {
      const waiting = this.#at<Path>(key);
      if (waiting.arrivals.has(arrival.branch)) {
        const message = 'a branch came to its join twice';
        reject(new CallError({ code: 'failed', message }));
        return;
      }
      waiting.arrivals.set(arrival.branch, arrival);
      waiting.settle.set(arrival.branch, { resolve, reject });
      waiting.off.push(cancellation.onAbort((error) => this.#release(key, error)));
      if (waiting.arrivals.size === expected && this.#waiting.has(key)) this.#complete(key, waiting, carryOn);
    });
  }

  #at<Path>(key: string): Waiting<Path> {
    const known = this.#waiting.get(key) as Waiting<Path> | undefined;
    if (known !== undefined) return known;
    const fresh: Waiting<Path> = { arrivals: new Map(), settle: new Map(), off: [] };
    this.#waiting.set(key, fresh as Waiting<never>);
    return fresh;
  }

  #complete<Path>(key: string, waiting: Waiting<Path>, carryOn: (arrivals: readonly Arrival<Path>[]) => Promise<GraphReply>): void {
    this.#waiting.delete(key);
    for (const off of waiting.off) off();
    const arrivals = [...waiting.arrivals.values()].sort((a, b) => a.branch - b.branch);
    const [first, ...others] = arrivals.map(({ branch }) => waiting.settle.get(branch));
    for (const other of others) other?.resolve({ merged: true });
    carryOn(arrivals).then(
      (reply) => first?.resolve(reply),
      (error) => first?.reject(error),
    );
  }

  #release(key: string, error: CallError): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    for (const off of waiting.off) off();
    for (const { reject } of waiting.settle.values()) reject(error);
  }
}
