import { CallError } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { bodyLimitBytes, tooLarge } from '../wire/body.ts';
import type { ChunkQueue } from '../wire/chunk-queue.ts';
import { decodeCallError } from '../wire/errors.ts';

/**
 * Reads server-sent events of anybody's server. An event that is `{"chunk": …}`, `{"output": …}` or `{"error": …}` means
 * what it means at our own ingress; any other is a chunk by itself, and `[DONE]` says that no more come. Without an
 * output of its own a stream of texts adds up to the whole text, and any other ends with its last event.
 */
export class EventReader {
  readonly #call: OutgoingCall;
  readonly #queue: ChunkQueue;
  readonly #decoder = new TextDecoder();
  #pending = '';
  #data: string[] = [];
  #chunks: unknown[] = [];

  constructor(call: OutgoingCall, queue: ChunkQueue) {
    this.#call = call;
    this.#queue = queue;
  }

  /** Returns what is wrong with the stream, if anything. */
  read(piece: Buffer): CallError | undefined {
    this.#pending += this.#decoder.decode(piece, { stream: true });
    const lines = this.#pending.split(/\r\n|\n|\r(?!$)/);
    this.#pending = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
    return this.#pending.length > bodyLimitBytes ? tooLarge(`an event of ${this.#call.target}`) : undefined;
  }

  end(): void {
    this.#line(this.#pending);
    this.#line('');
    this.#queue.end(this.#whole());
  }

  #line(line: string): void {
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    else if (line === '' && this.#data.length > 0) {
      const text = this.#data.join('\n');
      this.#data = [];
      this.#event(text);
    }
  }

  #event(text: string): void {
    if (text === '[DONE]') return;
    const value = parsedOr(text);
    const fields = typeof value === 'object' && value !== null ? (value as { readonly [name: string]: unknown }) : {};
    if ('output' in fields) this.#queue.end(fields.output);
    else if ('error' in fields) this.#queue.fail(this.#failure(fields.error));
    else {
      const chunk = 'chunk' in fields ? fields.chunk : value;
      this.#chunks.push(chunk);
      this.#queue.push(chunk);
    }
  }

  #failure(error: unknown): CallError {
    const { target } = this.#call;
    const message = `${target} failed while it streamed: ${typeof error === 'string' ? error : JSON.stringify(error)}`;
    return decodeCallError(error) ?? new CallError({ code: 'failed', message, component: target });
  }

  #whole(): unknown {
    return this.#chunks.every((chunk) => typeof chunk === 'string') ? this.#chunks.join('') : this.#chunks.at(-1);
  }
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
