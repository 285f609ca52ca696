import { CommanderError } from 'commander';
import { DmasError, errorCatalogue, exitCodes, isDiskError } from '../../compiler/contracts/errors.ts';
import { renderProblems } from './problems.ts';
import { readText } from './source-text.ts';

/** Tells a failure on standard error and returns its exit code: the one place that maps errors to codes. */
export function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.invalidInput;
  if (error instanceof DmasError) {
    process.stderr.write(`${renderProblems(error.problems, readText)}\n`);
    if (process.env.DMAS_OPT_DEBUG) process.stderr.write(`${error.stack}\n${error.cause instanceof Error ? error.cause.stack : ''}\n`);
    return errorCatalogue[error.code].exitCode;
  }
  // Written by whatever stage: the same remedy.
  if (isDiskError(error))
    return reportFailure(new DmasError({ code: 'DMAS_ENV_DISK', severity: 'error', message: error.message }, { cause: error }));
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(
    `dmas-opt failed unexpectedly: ${error instanceof Error ? error.message : String(error)}\n${process.env.DMAS_OPT_DEBUG ? `${stack}\n` : 'Set DMAS_OPT_DEBUG=1 for the stack.\n'}`,
  );
  return exitCodes.unexpected;
}
