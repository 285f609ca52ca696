import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Sandbox } from './sandbox.ts';
import { until } from './sandbox.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
export const fixture = (name: string): string => join(root, 'test', 'fixtures', 'faults', name);
export const scenarioFile = fixture('scenario.yaml');

export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Command {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly finished: Promise<Finished>;
  stdout(): string;
  stderr(): string;
  /** Waits until its output holds a text. */
  says(text: string | RegExp, withinMs?: number): Promise<boolean>;
}

interface CommandOptions {
  readonly environment?: { readonly [name: string]: string };
  readonly cwd?: string;
  /** A shell line that ends in `exec "$@"`, for limits that only a shell can set. */
  readonly shell?: string;
}

/** Starts the command line from its sources. The child is the Node.js process itself, so a signal reaches it and nothing else. */
export function start(sandbox: Sandbox, args: readonly string[], options: CommandOptions = {}): Command {
  const node = [process.execPath, '--import', loader, join(root, 'cli', 'main.ts'), ...args];
  const [file = '', ...rest] = options.shell === undefined ? node : ['bash', '-c', options.shell, 'bash', ...node];
  const { DMAS_OPT_DEBUG: _debug, ...inherited } = process.env;
  const child = spawn(file, rest, {
    cwd: options.cwd ?? sandbox.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, NO_COLOR: '1', FORCE_COLOR: undefined, ...sandbox.environment, ...options.environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    // `exit` may come before the last output; `close` waits for it.
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  let over = false;
  void finished.finally(() => {
    over = true;
  });
  const says = async (text: string | RegExp, withinMs = 30_000) => {
    const said = () => (typeof text === 'string' ? `${stdout}${stderr}`.includes(text) : text.test(`${stdout}${stderr}`));
    await until(() => over || said(), withinMs);
    return said();
  };
  return { child, pid: child.pid ?? 0, finished, stdout: () => stdout, stderr: () => stderr, says };
}

/** Runs the command line to its end. */
export const cli = (sandbox: Sandbox, args: readonly string[], options: CommandOptions = {}): Promise<Finished> =>
  start(sandbox, args, options).finished;
