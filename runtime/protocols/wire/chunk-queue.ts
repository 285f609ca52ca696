/**
 * Chunks between a producer that cannot wait and a consumer that pulls. `onFull` and `onDrained` let the producer's
 * transport pause while the consumer is behind.
 */
export class ChunkQueue {
  readonly #chunks: unknown[] = [];
  #head = 0;
  #ended: { readonly output: unknown } | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #full = false;
  readonly #highWater: number;
  readonly #onFull: () => void;
  readonly #onDrained: () => void;

  constructor(highWater = 64, onFull: () => void = () => {}, onDrained: () => void = () => {}) {
    this.#highWater = highWater;
    this.#onFull = onFull;
    this.#onDrained = onDrained;
  }

  push(chunk: unknown): void {
    if (this.settled) return;
    this.#chunks.push(chunk);
    if (!this.#full && this.#chunks.length - this.#head >= this.#highWater) {
      this.#full = true;
      this.#onFull();
    }
    this.#notify();
  }

  end(output: unknown): void {
    if (this.settled) return;
    this.#ended = { output };
    this.#notify();
  }

  /** What was pushed before is still delivered, then the error is thrown. */
  fail(error: unknown): void {
    if (this.settled) return;
    this.#failure = { error };
    this.#notify();
  }

  get settled(): boolean {
    return this.#ended !== undefined || this.#failure !== undefined;
  }

  async *drain(): AsyncGenerator<unknown, unknown> {
    for (;;) {
      if (this.#head < this.#chunks.length) {
        const chunk = this.#chunks[this.#head];
        this.#chunks[this.#head] = undefined;
        this.#head += 1;
        if (this.#head === this.#chunks.length) {
          this.#chunks.length = 0;
          this.#head = 0;
          if (this.#full) {
            this.#full = false;
            this.#onDrained();
          }
        }
        yield chunk;
      } else if (this.#failure !== undefined) {
        throw this.#failure.error;
      } else if (this.#ended !== undefined) {
        return this.#ended.output;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
