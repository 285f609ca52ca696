import type { EmitEvent, StageEvent } from '../../compiler/contracts/index.ts';
import { plainProgress } from './progress-plain.ts';
import { ttyProgress } from './progress-tty.ts';

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'ndjson' | 'quiet';

export interface Progress {
  readonly emit: EmitEvent;
  /** Ends the live line, so that what follows starts on a fresh one. */
  close(): void;
}

/** The listener for a mode; `auto` is live on a terminal and plain in CI and pipes. */
export function createProgress(mode: ProgressMode, output: NodeJS.WriteStream = process.stderr): Progress {
  if (mode === 'quiet') return { emit: () => {}, close: () => {} };
  if (mode === 'ndjson') return ndjsonProgress(output);
  if (mode === 'plain') return plainProgress(output);
  if (mode === 'tty') return ttyProgress(output);
  return output.isTTY && !process.env.CI ? ttyProgress(output) : plainProgress(output);
}

/** One JSON object per line; the first carries the version of the format. New fields may come within a version. */
function ndjsonProgress(output: NodeJS.WritableStream): Progress {
  output.write(`${JSON.stringify({ type: 'progress', version: 1 })}\n`);
  return { emit: (event: StageEvent) => void output.write(`${JSON.stringify({ atMs: Date.now(), ...event })}\n`), close: () => {} };
}
