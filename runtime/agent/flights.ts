/** Requests that have work in this process, so that a unit that drains knows what it still owes. */
export class Flights {
  readonly #requests = new Map<string, number>();
  #idle: (() => void)[] = [];
  draining = false;

  get size(): number {
    return this.#requests.size;
  }

  begin(requestId: string): void {
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
  }

  end(requestId: string): void {
    const left = (this.#requests.get(requestId) ?? 1) - 1;
    if (left > 0) this.#requests.set(requestId, left);
    else this.#requests.delete(requestId);
    if (this.#requests.size === 0) for (const wake of this.#idle.splice(0)) wake();
  }

  /** A draining unit takes nothing new, but a request it already works on may come back to it. */
  takes(requestId: string): boolean {
    return !this.draining || this.#requests.has(requestId);
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
}
