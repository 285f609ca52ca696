import { readFileSync } from 'node:fs';
import { bindingVariable, type ProcessBinding, type StartedReport, startedPrefix } from '../compiler/contracts/binding.ts';

/** A deployed process, once everything listens. */
export interface StartedProcess {
  readonly report: StartedReport;
  /** Drains, then closes everything. */
  close(): Promise<void>;
}

/** Where the process is and where its peers are, from the file the target names. */
export function readBinding(): ProcessBinding {
  const file = process.env[bindingVariable];
  if (file === undefined) throw new Error(`${bindingVariable} names no file: this process is started by a deployment target`);
  return JSON.parse(readFileSync(file, 'utf8')) as ProcessBinding;
}

/** Beyond the drain time, how long a closing process is waited for before it is ended anyway. */
const graceMs = 2_000;

/**
 * Ties the life of the process to what it serves: tells the target where it listens, drains on SIGTERM and SIGINT, and,
 * with `DMAS_EXIT_WITH_STDIN=1`, when standard input ends because the parent is gone.
 */
export function live(started: StartedProcess, drainMs: number): void {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    // The event loop may be held open by a client that never goes away; the process must end all the same.
    setTimeout(() => process.exit(0), drainMs + graceMs).unref();
    started.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (process.env.DMAS_EXIT_WITH_STDIN === '1') {
    process.stdin.on('end', end);
    process.stdin.on('error', end);
    process.stdin.resume();
  }
  process.stdout.write(`${startedPrefix}${JSON.stringify(started.report)}\n`);
}
