import type { IncomingMessage } from 'node:http';
import { performance } from 'node:perf_hooks';
import { bucketOf, plainClass, type Tally } from '../../compiler/contracts/tally.ts';
import { ingressHeaders } from './ingress-headers.ts';

/** A header names the class, so whoever calls does: beyond these the rest counts as one. */
const mostClasses = 32;
const otherClasses = 'other';

interface Counts {
  requests: number;
  readonly outcomes: Map<string, number>;
  readonly latency: Map<number, number>;
  readonly firstChunk: Map<number, number>;
}

/** One request under way. */
export interface Entry {
  /** The first piece of a streamed answer is on its way. */
  chunk(): void;
  /** @param code of the call error; undefined for an answer */
  end(code: string | undefined): void;
}

/** Counts requests, outcomes and times where users call (see `Tally`), and knows the oldest one under way. */
export class RequestTally {
  readonly #classes = new Map<string, Counts>();
  /** When those under way began, oldest first: a set keeps the order of insertion. */
  readonly #open = new Set<{ readonly startedMs: number }>();

  begin(request: IncomingMessage): Entry {
    const counts = this.#of(request.headers[ingressHeaders.class]);
    const entry = { startedMs: performance.now() };
    this.#open.add(entry);
    let first = true;
    return {
      chunk: () => {
        if (first) count(counts.firstChunk, bucketOf(performance.now() - entry.startedMs));
        first = false;
      },
      end: (code) => {
        if (!this.#open.delete(entry)) return;
        counts.requests++;
        if (code === undefined) count(counts.latency, bucketOf(performance.now() - entry.startedMs));
        else count(counts.outcomes, code);
      },
    };
  }

  /** How long the oldest request under way has taken, in milliseconds; null when there is none. */
  oldestMs(): number | null {
    const [oldest] = this.#open;
    return oldest === undefined ? null : performance.now() - oldest.startedMs;
  }

  snapshot(): Tally {
    const classes = [...this.#classes].map(([name, { requests, outcomes, latency, firstChunk }]) => [
      name,
      {
        requests,
        outcomes: Object.fromEntries(outcomes),
        latency: Object.fromEntries(latency),
        firstChunk: Object.fromEntries(firstChunk),
      },
    ]);
    return { classes: Object.fromEntries(classes) };
  }

  #of(header: string | string[] | undefined): Counts {
    const wanted = typeof header === 'string' ? header : plainClass;
    const name = this.#classes.has(wanted) || this.#classes.size < mostClasses ? wanted : otherClasses;
    const known = this.#classes.get(name);
    if (known !== undefined) return known;
    const counts: Counts = { requests: 0, outcomes: new Map(), latency: new Map(), firstChunk: new Map() };
    this.#classes.set(name, counts);
    return counts;
  }
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
