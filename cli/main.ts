#!/usr/bin/env node
import { exitCodes } from '../compiler/contracts/errors.ts';
import { createProgram } from './program.ts';
import { reportFailure } from './render/failure.ts';

/** The only place that ends the process. */
async function main(): Promise<void> {
  let code: number = exitCodes.success;
  try {
    const program = createProgram((value) => {
      code = value;
    });
    await program.parseAsync(process.argv);
  } catch (error) {
    code = reportFailure(error);
  }
  process.exitCode = code;
  // Handles of a failed stage must not keep a finished command alive; output still has to leave.
  setTimeout(() => process.exit(code), 2_000).unref();
}

// `dmas-opt list | head` closes our output early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.success);
  throw error;
});
await main();
