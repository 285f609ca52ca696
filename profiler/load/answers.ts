import { createHash } from 'node:crypto';
import { canonicalJson } from '../../compiler/contracts/json.ts';
import type { LoadClass } from './job.ts';

/** SHA-256 of the canonical JSON of a value, in hex: what `LoadClass.expected` holds. */
export function answerHash(output: unknown): string {
  return createHash('sha256').update(canonicalJson(output)).digest('hex');
}

/** Distinct bodies whose hash is remembered. Beyond it the oldest is forgotten, which only costs time. */
const rememberedBodies = 4096;

/** Hashes whole JSON bodies; a body seen before, byte for byte, is not parsed again. Returns null when it is not JSON. */
export function createBodyHasher(): (body: Buffer) => string | null {
  const known = new Map<string, string | null>();
  return (body) => {
    const raw = createHash('sha256').update(body).digest('base64');
    const seen = known.get(raw);
    if (seen !== undefined) return seen;
    const hash = parsedHash(body);
    if (known.size >= rememberedBodies) known.delete(known.keys().next().value as string);
    known.set(raw, hash);
    return hash;
  };
}

function parsedHash(body: Buffer): string | null {
  try {
    return answerHash(JSON.parse(body.toString('utf8')));
  } catch {
    return null;
  }
}

/** Compares answers with what is expected, and remembers per input whether all answers agreed. */
export interface AnswerBook {
  /** False when an expectation exists and the answer differs from it. */
  accept(classIndex: number, input: number, hash: string): boolean;
  /** Per class and input: the one answer all requests got, or null when there was none or they differed. */
  agreed(): { readonly [requestClass: string]: readonly (string | null)[] };
}

export function createAnswerBook(classes: readonly LoadClass[]): AnswerBook {
  const seen = classes.map((load) => load.inputs.map((): string | null | undefined => undefined));
  return {
    accept(classIndex, input, hash) {
      const row = seen[classIndex];
      if (row) row[input] = row[input] === undefined || row[input] === hash ? hash : null;
      const expected = classes[classIndex]?.expected?.[input];
      return expected === undefined || expected === null || expected === hash;
    },
    agreed: () => Object.fromEntries(classes.map((load, index) => [load.name, (seen[index] ?? []).map((hash) => hash ?? null)])),
  };
}
