import { didYouMean, type ErrorCode, type Place, type Problem } from '../compiler/contracts/index.ts';

export interface WordUse {
  readonly code: ErrorCode;
  readonly at: Place;
  /** What the word should name, for people. */
  readonly what: string;
  readonly word: string;
  readonly allowed: readonly string[];
  readonly fix?: string | undefined;
}

/** The problem of a word that names nothing, with what it may have meant; undefined for one that is known. */
export function unknownWord({ code, at, what, word, allowed, fix }: WordUse): Problem | undefined {
  if (allowed.includes(word)) return undefined;
  const guess = didYouMean(word, allowed);
  return {
    ...{ code, severity: 'error', message: `unknown ${what} "${word}"`, at, allowed },
    ...(guess === undefined ? {} : { didYouMean: guess }),
    ...(fix === undefined ? {} : { fix }),
  };
}
