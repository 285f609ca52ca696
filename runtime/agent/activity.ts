import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** What a traced turn learns about the process it ran in. */
export interface TurnActivity {
  /** Milliseconds the event loop was busy since the turn began, whoever kept it busy. */
  readonly activeMs: number;
  /** Most turns at once while it ran, itself included; `activeMs` is this turn's own at 1. */
  readonly concurrency: number;
}

interface Watch {
  readonly since: EventLoopUtilization;
  concurrency: number;
}

/** Counts the turns under way in this process, traced or not. */
export class Activity {
  #turns = 0;
  readonly #watches = new Set<Watch>();

  get turns(): number {
    return this.#turns;
  }

  /** Begins a turn. Returns its watch when it is traced. */
  enter(traced: boolean): Watch | undefined {
    const turns = ++this.#turns;
    for (const watch of this.#watches) if (watch.concurrency < turns) watch.concurrency = turns;
    if (!traced) return undefined;
    const watch = { since: performance.eventLoopUtilization(), concurrency: turns };
    this.#watches.add(watch);
    return watch;
  }

  leave(watch: Watch): TurnActivity;
  leave(watch: Watch | undefined): TurnActivity | undefined;
  leave(watch: Watch | undefined): TurnActivity | undefined {
    this.#turns--;
    if (watch === undefined) return undefined;
    this.#watches.delete(watch);
    return { activeMs: performance.eventLoopUtilization(watch.since).active, concurrency: watch.concurrency };
  }
}
