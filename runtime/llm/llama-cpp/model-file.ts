import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fail } from '../../../compiler/contracts/index.ts';
import { type ModelShape, type RandomModelName, randomModelPieces, randomModels } from './random-model.ts';
import { vocabularyOf } from './vocabulary.ts';

/** Counts up whenever the same shape and seed would give other bytes; a test holds the bytes against it. */
export const recipeVersion = 1;

/** Where models we wrote are kept: `$XDG_CACHE_HOME/dmas-opt/models`, else `~/.cache/dmas-opt/models`. */
const modelFolder = (): string => {
  const { XDG_CACHE_HOME: cache } = process.env;
  return join(cache !== undefined && isAbsolute(cache) ? cache : join(homedir(), '.cache'), 'dmas-opt', 'models');
};

/**
 * Path of the GGUF file for `weights`: one that exists, or one written here and now unless an earlier start has done it. Its name holds a
 * hash of all that decides its bytes.
 *
 * @throws DmasError `DMAS_FILE_UNREADABLE`
 */
export function modelFileOf(weights: string, seed: number, folder?: string): string {
  if (weights in randomModels) {
    const name = weights as RandomModelName;
    const write = (into: string) => writtenOnce(name, randomModels[name], seed, into);
    if (folder !== undefined) return write(folder);
    try {
      return write(modelFolder());
    } catch {
      // A user without a home, or one that cannot be written to.
      return write(join(tmpdir(), 'dmas-opt-models'));
    }
  }
  if (!isAbsolute(weights)) {
    return fail(
      'DMAS_CFG_INVALID_VALUE',
      `weights: ${weights} is neither one of ${Object.keys(randomModels).join(', ')} nor an absolute path.`,
      {
        fix: 'Give the absolute path of a GGUF file; ${env:NAME} in the scenario keeps it out of the file.',
      },
    );
  }
  if (!existsSync(weights)) return fail('DMAS_FILE_UNREADABLE', `There is no GGUF file ${weights}.`);
  return weights;
}

function writtenOnce(name: string, shape: ModelShape, seed: number, folder: string): string {
  const recipe = JSON.stringify([recipeVersion, name, shape, seed, vocabularyOf(shape.vocabulary).tokens]);
  const file = join(folder, `${name}-seed${seed}-${createHash('sha256').update(recipe).digest('hex').slice(0, 16)}.gguf`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  // Under another name until it is whole: several servers may start at once.
  const unfinished = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const at = openSync(unfinished, 'wx', 0o644);
    try {
      for (const piece of randomModelPieces(name, shape, seed)) writeWhole(at, piece);
    } finally {
      closeSync(at);
    }
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return file;
}

function writeWhole(at: number, piece: Buffer): void {
  let written = 0;
  while (written < piece.length) written += writeSync(at, piece, written);
}
