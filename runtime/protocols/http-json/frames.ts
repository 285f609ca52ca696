import { CallError } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { bodyLimitBytes, joinBytes, tooLarge } from '../wire/body.ts';
import type { ChunkQueue } from '../wire/chunk-queue.ts';
import { decodeCallError } from '../wire/errors.ts';

const newline = 0x0a;

/** Cuts the pieces of a reply into lines and puts the frames into the queue. JSON never holds a raw line break. */
export class FrameReader {
  readonly #call: OutgoingCall;
  readonly #queue: ChunkQueue;
  #pieces: Buffer[] = [];
  #sizeBytes = 0;

  constructor(call: OutgoingCall, queue: ChunkQueue) {
    this.#call = call;
    this.#queue = queue;
  }

  /** Returns what is wrong with the stream, if anything. */
  read(piece: Buffer): CallError | undefined {
    let start = 0;
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, start)) {
      this.#keep(piece.subarray(start, end));
      start = end + 1;
      const line = joinBytes(this.#pieces, this.#sizeBytes);
      this.#pieces = [];
      this.#sizeBytes = 0;
      const broken = this.#frame(line);
      if (broken !== undefined) return broken;
    }
    if (start < piece.length) this.#keep(piece.subarray(start));
    return this.#sizeBytes > bodyLimitBytes ? tooLarge(`a chunk of ${this.#call.target}`) : undefined;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#sizeBytes += piece.length;
  }

  #frame(line: Buffer): CallError | undefined {
    const started = performance.now();
    let frame: unknown;
    try {
      frame = JSON.parse(line.toString('utf8'));
    } catch {
      frame = undefined;
    }
    this.#call.wire.serializeMs += performance.now() - started;
    const { chunk, output, error, empty } = (frame ?? {}) as { readonly [kind: string]: unknown };
    const known = error === undefined ? undefined : decodeCallError(error);
    if (chunk !== undefined || empty === 'chunk') this.#queue.push(chunk);
    else if (output !== undefined || empty === 'output') this.#queue.end(output);
    else if (known !== undefined) this.#queue.fail(known);
    else return new CallError({ code: 'failed', message: `${this.#call.target} sent a malformed frame` });
    return undefined;
  }
}
