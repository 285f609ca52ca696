/** What a container found on the way is to its reader: objects by key, arrays by element. */
export type Step =
  | { readonly kind: 'open'; readonly role: string }
  /** Taken as text and handed over whole. */
  | { readonly kind: 'take' }
  | { readonly kind: 'skip' };

/** Tells what to do with the value under `key` (null in an array) of the container with that role. */
export interface JsonVisitor<Data> {
  /** `value` says what comes, by its first character. */
  step(role: string, key: string | null, value: 'object' | 'array' | 'scalar', depth: number): Step;
  enter(role: string, parent: Data | null): Data;
  leave(role: string, data: Data, at: string): void;
  take(role: string, data: Data, key: string | null, text: string, at: string): void;
  reject(reason: string, at: string): void;
}

interface Frame<Data> {
  readonly array: boolean;
  readonly role: string;
  readonly data: Data;
  key: string | null;
  state: 'first' | 'key' | 'colon' | 'value' | 'next';
}

const [quote, backslash, newline, openBrace, closeBrace, openBracket, closeBracket, comma, colon] = [34, 92, 10, 123, 125, 91, 93, 44, 58];
const isSpace = (c: number) => c === 32 || c === newline || c === 13 || c === 9;

/** Of one value taken as text. No span that an exporter sends comes near. */
const maxTakenBytes = 64 << 20;

/**
 * Walks JSON of any length, one value or many behind one another, without ever having all of it: only the values its
 * visitor takes become text. After something that is not JSON it goes on with the next line that begins a value.
 */
export class JsonScan<Data> {
  readonly #visitor: JsonVisitor<Data>;
  #stack: Frame<Data>[] = [];
  /** The value being taken or skipped; null between values. */
  #leaf: { take: boolean; depth: number; scalar: boolean; size: number } | null = null;
  #inString = false;
  #escaped = false;
  #lost = false;
  #pieces: Buffer[] = [];
  #offset = 0;
  #documents = 0;
  /** One document on each line, so a line's end inside of one is its premature end. */
  #perLine = false;
  #started = false;

  constructor(visitor: JsonVisitor<Data>) {
    this.#visitor = visitor;
  }

  write(chunk: Buffer): void {
    if (!this.#started) {
      this.#started = true;
      this.#perLine = firstLineIsWhole(chunk);
    }
    let i = 0;
    while (i < chunk.length) {
      if (this.#lost) i = this.#find(chunk, i);
      else if (this.#leaf) i = this.#scan(chunk, i);
      else i = this.#step(chunk, i);
    }
    this.#offset += chunk.length;
  }

  end(): void {
    if (this.#leaf?.scalar && !this.#inString && this.#stack.length === 0) this.#finish();
    const inside = this.#stack.at(-1);
    if (inside || this.#leaf) {
      const keys = this.#stack.map((frame) => frame.key).filter((key) => key !== null);
      this.#visitor.reject(`the input ends inside of ${keys.length > 0 ? keys.join(' › ') : 'a value'}`, this.#place(0));
    }
    this.#unwind();
  }

  #place(i: number): string {
    return `document ${Math.max(1, this.#documents)}, byte ${this.#offset + i}`;
  }

  #unwind(): void {
    for (let frame = this.#stack.pop(); frame; frame = this.#stack.pop()) this.#visitor.leave(frame.role, frame.data, this.#place(0));
    this.#leaf = null;
    this.#pieces = [];
    this.#inString = this.#escaped = false;
  }

  #malformed(reason: string, i: number): number {
    this.#visitor.reject(reason, this.#place(i));
    this.#unwind();
    this.#lost = true;
    return i;
  }

  /** To the next line that begins a value. */
  #find(chunk: Buffer, from: number): number {
    for (let at = chunk.indexOf(newline, from); at >= 0; at = chunk.indexOf(newline, at + 1)) {
      if (at + 1 < chunk.length && chunk[at + 1] !== openBrace) continue;
      this.#lost = false;
      return at + 1;
    }
    return chunk.length;
  }

  /** One character between values. */
  #step(chunk: Buffer, i: number): number {
    const c = chunk[i] as number;
    const frame = this.#stack.at(-1);
    if (isSpace(c)) {
      if (c === newline && frame && this.#perLine) return this.#malformed('the line ends inside of a document', i);
      return i + 1;
    }
    if (!frame) {
      // Concatenated values may have commas between them, as a cut array does.
      if (c === comma || c === 0xef || c === 0xbb || c === 0xbf) return i + 1;
      if (c !== openBrace && c !== openBracket) return this.#malformed('not JSON', i);
      this.#documents++;
      return this.#begin(null, c, i);
    }
    switch (frame.state) {
      case 'first':
        if (c === (frame.array ? closeBracket : closeBrace)) return this.#close(i);
        if (frame.array) return this.#begin(frame, c, i);
        return this.#key(frame, c, i);
      case 'key':
        return this.#key(frame, c, i);
      case 'colon':
        if (c !== colon) return this.#malformed('a key without a colon', i);
        frame.state = 'value';
        return i + 1;
      case 'value':
        return this.#begin(frame, c, i);
      case 'next':
        if (c === (frame.array ? closeBracket : closeBrace)) return this.#close(i);
        if (c !== comma) return this.#malformed('two values without a comma between', i);
        frame.state = frame.array ? 'value' : 'key';
        return i + 1;
    }
  }

  #key(frame: Frame<Data>, c: number, i: number): number {
    if (c !== quote) return this.#malformed('a key that is not a string', i);
    frame.key = null;
    this.#leaf = { take: true, depth: 0, scalar: true, size: 0 };
    return i;
  }

  #begin(frame: Frame<Data> | null, c: number, i: number): number {
    const value = c === openBrace ? 'object' : c === openBracket ? 'array' : 'scalar';
    const step = this.#visitor.step(frame?.role ?? 'top', frame?.key ?? null, value, this.#stack.length);
    if (step.kind === 'open' && value !== 'scalar') {
      if (frame) frame.state = 'next';
      const data = this.#visitor.enter(step.role, frame?.data ?? null);
      this.#stack.push({ array: value === 'array', role: step.role, data, key: null, state: 'first' });
      return i + 1;
    }
    this.#leaf = { take: step.kind === 'take', depth: 0, scalar: value === 'scalar', size: 0 };
    return i;
  }

  #close(i: number): number {
    const frame = this.#stack.pop();
    if (frame) this.#visitor.leave(frame.role, frame.data, this.#place(i));
    return i + 1;
  }

  /** Goes to the end of a value, or of the chunk. */
  #scan(chunk: Buffer, from: number): number {
    const leaf = this.#leaf;
    if (!leaf) return from;
    const n = chunk.length;
    let i = from;
    let ended = false;
    while (i < n) {
      if (this.#inString) {
        if (this.#escaped) {
          this.#escaped = false;
          i++;
          continue;
        }
        let c = chunk[i] as number;
        while (c !== quote && c !== backslash && c !== newline) {
          if (++i >= n) break;
          c = chunk[i] as number;
        }
        if (i >= n) break;
        if (c === newline) return this.#malformed('the line ends inside of a string', i);
        i++;
        if (c === backslash) this.#escaped = true;
        else {
          this.#inString = false;
          if (leaf.depth === 0) {
            ended = true;
            break;
          }
        }
        continue;
      }
      const c = chunk[i] as number;
      if (c === quote) this.#inString = true;
      else if (c === openBrace || c === openBracket) leaf.depth++;
      else if (c === closeBrace || c === closeBracket) {
        // The end of the container around a bare number or word.
        if (leaf.depth === 0) {
          ended = true;
          break;
        }
        if (--leaf.depth === 0) {
          i++;
          ended = true;
          break;
        }
      } else if (leaf.depth === 0 && (c === comma || isSpace(c) || c === colon)) {
        ended = true;
        break;
      } else if (c === newline && this.#perLine) return this.#malformed('the line ends inside of a document', i);
      i++;
    }
    if (leaf.take && i > from) {
      leaf.size += i - from;
      if (leaf.size > maxTakenBytes) {
        this.#visitor.reject(`a value of more than ${maxTakenBytes >> 20} MB`, this.#place(i));
        leaf.take = false;
        this.#pieces = [];
      } else if (ended && this.#pieces.length === 0) {
        this.#finish(chunk.toString('utf8', from, i), i);
        return i;
      } else this.#pieces.push(chunk.subarray(from, i));
    }
    if (ended) this.#finish(undefined, i);
    return i;
  }

  #finish(whole?: string, i = 0): void {
    const leaf = this.#leaf;
    const text = whole ?? Buffer.concat(this.#pieces).toString('utf8');
    this.#leaf = null;
    this.#pieces = [];
    const frame = this.#stack.at(-1);
    if (!frame) return;
    if (frame.state === 'key' || (frame.state === 'first' && !frame.array)) {
      frame.state = 'colon';
      frame.key = keyOf(text);
      return;
    }
    const key = frame.key;
    frame.state = 'next';
    if (leaf?.take) this.#visitor.take(frame.role, frame.data, key, text, this.#place(i - text.length));
  }
}

function keyOf(text: string): string | null {
  try {
    return text.includes('\\') ? String(JSON.parse(text)) : text.slice(1, -1);
  } catch {
    return null;
  }
}

/** `{…}` up to the first line's end: then every line is a document. */
function firstLineIsWhole(chunk: Buffer): boolean {
  const end = chunk.indexOf(newline);
  if (end < 3) return false;
  const line = chunk.toString('utf8', 0, end).trim();
  if (!line.startsWith('{') || !line.endsWith('}')) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
