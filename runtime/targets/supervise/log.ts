import { createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';

const defaultLimitBytes = 10 * 1024 * 1024;
const tailLines = 20;
/** A line without an end is cut here, so that a stream of bytes cannot fill the memory. */
const longestLine = 64 * 1024;
/** Shorter values would blank out innocent text. */
const shortestSecret = 6;

/** Splits a byte stream into lines; call without a chunk at its end. */
export function lineSplitter(onLine: (line: string) => void): (chunk?: Buffer) => void {
  const decoder = new TextDecoder();
  let pending = '';
  return (chunk) => {
    pending += chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (pending.length > longestLine || (!chunk && pending)) {
      onLine(pending);
      pending = '';
    }
  };
}

/** Passes the lines of a stream on until it ends. */
export function passLines(stream: Readable, onLine: (line: string) => void): void {
  const split = lineSplitter(onLine);
  stream.on('data', split);
  stream.on('end', () => split());
}

/** Replaces the values of secrets by their names. */
export function redactor(secrets: { readonly [name: string]: string }): (text: string) => string {
  const entries = Object.entries(secrets).filter(([, value]) => value.length >= shortestSecret);
  // Longest first: one value may hold another.
  entries.sort(([, a], [, b]) => b.length - a.length);
  return (text) => entries.reduce((redacted, [name, value]) => redacted.replaceAll(value, `[${name}]`), text);
}

/** The log file of one replica over all its restarts: bounded, without secrets, its last lines at hand. */
export class ReplicaLog {
  readonly file: string;
  readonly #stream: WriteStream;
  #redact: (text: string) => string;
  readonly #limitBytes: number;
  #bytes = 0;
  #tail: string[] = [];

  constructor(file: string, secrets: { readonly [name: string]: string }, limitBytes = defaultLimitBytes) {
    this.file = file;
    this.#redact = redactor(secrets);
    this.#limitBytes = limitBytes;
    this.#stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
    // A full disk must not end the run; the last lines stay in memory.
    this.#stream.on('error', () => {});
  }

  /** From now on these are kept out of it. */
  hide(secrets: { readonly [name: string]: string }): void {
    this.#redact = redactor(secrets);
  }

  write(line: string): void {
    const text = this.#redact(line);
    this.#tail.push(text);
    if (this.#tail.length > tailLines) this.#tail.shift();
    if (this.#bytes >= this.#limitBytes) return;
    this.#bytes += Buffer.byteLength(text) + 1;
    const note = this.#bytes >= this.#limitBytes ? `[log ends here: over ${this.#limitBytes} bytes]\n` : '';
    this.#stream.write(`${text}\n${note}`);
  }

  /** The last lines, whether they still fitted in the file or not. */
  tail(): string {
    return this.#tail.join('\n');
  }

  clearTail(): void {
    this.#tail = [];
  }

  async read(): Promise<string> {
    await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
    return existsSync(this.file) ? await readFile(this.file, 'utf8') : '';
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.closed || this.#stream.destroyed) return resolve();
      this.#stream.once('close', () => resolve());
      this.#stream.end();
    });
  }
}
