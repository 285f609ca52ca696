import { performance } from 'node:perf_hooks';

/** Requests that have work in this process, so that a unit that drains knows what it still owes. */
export class Flights {
  readonly #requests = new Map<string, number>();
  #idle: (() => void)[] = [];
  #begun = 0;
  #idleSince = performance.now();
  /** Set once the unit is to end: the ingress then takes no new request. */
  draining = false;

  get size(): number {
    return this.#requests.size;
  }

  begin(requestId: string): void {
    this.#begun++;
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
  }

  end(requestId: string): void {
    const left = (this.#requests.get(requestId) ?? 1) - 1;
    if (left > 0) this.#requests.set(requestId, left);
    else this.#requests.delete(requestId);
    if (this.#requests.size > 0) return;
    this.#idleSince = performance.now();
    for (const wake of this.#idle.splice(0)) wake();
  }

  /** Resolves when nothing is in flight, or after `atMostMs`. True when nothing was left. */
  async idle(atMostMs: number): Promise<boolean> {
    if (this.#requests.size === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, atMostMs);
      this.#idle.push(resolve);
    });
    clearTimeout(timer);
    return this.#requests.size === 0;
  }

  /** Resolves when nothing has been in flight for `quietMs`, or after `atMostMs`. True when it was so. */
  async quiet(quietMs: number, atMostMs: number): Promise<boolean> {
    const until = performance.now() + atMostMs;
    for (;;) {
      if (!(await this.idle(until - performance.now()))) return false;
      const begun = this.#begun;
      const now = performance.now();
      const waitMs = Math.min(this.#idleSince + quietMs, until) - now;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      if (begun === this.#begun && this.#requests.size === 0) return true;
    }
  }
}
