import type { EmitEvent, StageEvent } from '../../compiler/contracts/index.ts';
import { plainProgress } from './progress-plain.ts';
import { ttyProgress } from './progress-tty.ts';

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'ndjson' | 'quiet';

export interface Progress {
  readonly emit: EmitEvent;
  /** Ends the live line, so that what follows starts on a fresh one. */
  close(): void;
}

/**
 * The listener for a mode; `auto` is live on a terminal and plain in CI and pipes. People read standard error; what a
 * program reads has standard output for itself.
 */
export function createProgress(mode: ProgressMode): Progress {
  const output = process.stderr;
  if (mode === 'quiet') return { emit: () => {}, close: () => {} };
  if (mode === 'ndjson') return ndjsonProgress(process.stdout);
  if (mode === 'plain') return plainProgress(output);
  if (mode === 'tty') return ttyProgress(output);
  return output.isTTY && !process.env.CI ? ttyProgress(output) : plainProgress(output);
}

/** Where a command says what it found: not among the lines of a program. */
export const resultOutput = (mode: ProgressMode): NodeJS.WritableStream => (mode === 'ndjson' ? process.stderr : process.stdout);

/** One JSON object per line; the first carries the version of the format. New fields may come within a version. */
function ndjsonProgress(output: NodeJS.WritableStream): Progress {
  output.write(`${JSON.stringify({ type: 'progress', version: 1 })}\n`);
  return { emit: (event: StageEvent) => void output.write(`${JSON.stringify({ atMs: Date.now(), ...event })}\n`), close: () => {} };
}
