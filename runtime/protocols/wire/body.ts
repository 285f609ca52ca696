import { invalidError } from './errors.ts';

/** Largest body either end takes, 64 MB: beyond it a payload belongs in a store, not in a message. */
export const bodyLimitBytes = 64 * 1024 * 1024;

export const jsonType = 'application/json';
export const streamType = 'application/x-ndjson';

/** One Buffer from the pieces of a body; copies only when there is more than one. */
export function joinBytes(pieces: readonly Buffer[], sizeBytes: number): Buffer {
  const [first] = pieces;
  if (first === undefined) return Buffer.alloc(0);
  return pieces.length === 1 ? first : Buffer.concat(pieces, sizeBytes);
}

/** No bytes are `undefined`, so that a handler may return nothing. */
export function parseJson(bytes: Buffer, start = 0): unknown {
  return bytes.length === start ? undefined : JSON.parse(bytes.toString('utf8', start));
}

/**
 * Bytes of a value as JSON; none for `undefined`.
 * @throws CallError `invalid` when the value is no JSON or over the limit.
 */
export function toJsonBytes(value: unknown, what: string): Buffer {
  const bytes = Buffer.from(toJsonText(value, what), 'utf8');
  if (bytes.length > bodyLimitBytes) throw tooLarge(what);
  return bytes;
}

export function toJsonText(value: unknown, what: string): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch (error) {
    throw invalidError(`${what} cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

export const tooLarge = (what: string) => invalidError(`${what} is larger than ${bodyLimitBytes} bytes`);
