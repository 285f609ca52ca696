import { readJson, writeJson } from './run-folder.ts';

type AnswerHashes = { readonly [requestClass: string]: readonly (string | null)[] };

/** The right answers a run goes by: learnt once from the baseline, kept on disk, the same after a resume. */
export interface Answers {
  known(): AnswerHashes | undefined;
  /** Keeps the first set it is given. */
  learn(answers: AnswerHashes): Promise<void>;
}

export async function openAnswers(file: string): Promise<Answers> {
  const { existsSync } = await import('node:fs');
  let hashes = existsSync(file) ? await readJson<AnswerHashes>(file) : undefined;
  return {
    known: () => hashes,
    learn: async (answers) => {
      if (hashes) return;
      hashes = answers;
      await writeJson(file, answers);
    },
  };
}
