import { existsSync } from 'node:fs';
import { readJson, writeJson } from './run-folder.ts';

type AnswerHashes = { readonly [requestClass: string]: readonly (string | null)[] };

/** What the first fully traced block of a run showed that every later block is held against. */
interface ReferenceFacts {
  /** The answers every other layout must give, unless the scenario brings its own. */
  readonly answers: AnswerHashes;
  /**
   * Token cost of a request. Tokens do not depend on the layout, and at the low sampling of verdict blocks a count from
   * their traces would be noise, so all blocks are priced with it.
   */
  readonly tokensUsdPerRequest: number;
}

/** Kept on disk, so that a resumed run goes by the same. */
export interface Reference {
  known(): ReferenceFacts | undefined;
  /** Keeps the first facts it is given. */
  learn(facts: ReferenceFacts): Promise<void>;
}

export async function openReference(file: string): Promise<Reference> {
  let known = existsSync(file) ? await readJson<ReferenceFacts>(file) : undefined;
  return {
    known: () => known,
    learn: async (facts) => {
      if (known) return;
      known = facts;
      await writeJson(file, facts);
    },
  };
}
