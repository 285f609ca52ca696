import { readFileSync } from 'node:fs';
import { DmasError, errorCatalogue, exitCodes } from '../../compiler/contracts/errors.ts';
import { isCommanderEnd } from '../program.ts';
import { renderProblems } from './problems.ts';

/** Tells a failure on standard error and returns its exit code: the one place that maps errors to codes. */
export function reportFailure(error: unknown): number {
  if (isCommanderEnd(error)) return error.exitCode === 0 ? exitCodes.success : exitCodes.invalidInput;
  if (error instanceof DmasError) {
    process.stderr.write(`${renderProblems(error.problems, readText)}\n`);
    if (process.env.DMAS_OPT_DEBUG) process.stderr.write(`${error.stack}\n${error.cause instanceof Error ? error.cause.stack : ''}\n`);
    return errorCatalogue[error.code].exitCode;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(
    `dmas-opt failed unexpectedly: ${error instanceof Error ? error.message : String(error)}\n${process.env.DMAS_OPT_DEBUG ? `${stack}\n` : 'Set DMAS_OPT_DEBUG=1 for the stack.\n'}`,
  );
  return exitCodes.unexpected;
}

/** Text of a user's file for showing a place in it; undefined when it cannot be read any more. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
