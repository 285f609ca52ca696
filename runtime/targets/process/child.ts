import { type ChildProcess, spawn } from 'node:child_process';
import type { Exit, ReplicaUsage } from '../supervise/host.ts';
import { passLines } from '../supervise/log.ts';
import { type Lease, leaseVariable } from './lease.ts';
import { processUsage, signalGroup } from './procfs.ts';

interface ChildOptions {
  /** Path of the ES module Node runs. */
  readonly module: string;
  /** Given to Node before the module. */
  readonly nodeArguments?: readonly string[];
  /** For messages and the lease. */
  readonly name: string;
  readonly cwd: string;
  readonly environment: { readonly [name: string]: string };
  readonly lease: Lease;
  readonly onOutput: (line: string) => void;
  readonly onError: (line: string) => void;
}

export interface Child {
  readonly pid: number;
  /** Resolves when the process is gone and all it printed has been passed on. */
  readonly exited: Promise<Exit>;
  usage(): ReplicaUsage;
  /** To the child alone: what it started itself is its own to end. */
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL to its whole group. */
  kill(): void;
}

/** How long the output of a process that has ended may still arrive. */
const lastOutputMs = 1_000;

/** Variables of ours that say nothing about the user: where programs and temporary files are, zone and language. */
const passedOn = ['PATH', 'TMPDIR', 'TZ', 'LANG'] as const;

/**
 * Starts Node.js on a module, as leader of a process group of its own. Its standard input is a pipe that nobody
 * writes to: it ends when this process does, however that happens, and the child with it.
 */
export function startChild(options: ChildOptions): Child {
  const { lease, name } = options;
  const inherited = passedOn.flatMap((variable) => (process.env[variable] === undefined ? [] : [[variable, process.env[variable]]]));
  const child = spawn(process.execPath, [...(options.nodeArguments ?? []), options.module], {
    cwd: options.cwd,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(inherited), ...options.environment, DMAS_EXIT_WITH_STDIN: '1', [leaseVariable]: lease.id },
  });
  // The end may already be closed when the child goes first.
  child.stdin.on('error', () => {});
  passLines(child.stdout, options.onOutput);
  passLines(child.stderr, options.onError);
  const exited = exitOf(child, options.onError);
  const { pid } = child;
  const runs = () => child.exitCode === null && child.signalCode === null;
  if (pid === undefined) return { pid: 0, exited, usage: () => ({ cpuSeconds: 0, peakMemoryMb: 0 }), signal() {}, kill() {} };
  lease.spawned(name, pid);
  let last: ReplicaUsage = { cpuSeconds: 0, peakMemoryMb: 0 };
  const usage = () => {
    const now = runs() ? processUsage(pid) : null;
    if (now) last = { cpuSeconds: Math.max(last.cpuSeconds, now.cpuSeconds), peakMemoryMb: Math.max(last.peakMemoryMb, now.peakMemoryMb) };
    return last;
  };
  return {
    pid,
    exited,
    usage,
    signal(signal) {
      if (runs()) child.kill(signal);
    },
    kill() {
      if (!runs()) return;
      usage();
      signalGroup(pid, 'SIGKILL');
    },
  };
}

function exitOf(child: ChildProcess, onError: (line: string) => void): Promise<Exit> {
  return new Promise((resolve) => {
    let exit: Exit = { code: null, signal: null };
    child.once('error', (error) => {
      onError(error.message);
      // Could not be started at all: no other event follows.
      if (child.pid === undefined) resolve({ code: null, signal: error.message });
    });
    child.once('exit', (code, signal) => {
      exit = { code, signal };
      // What it left behind in its group goes too, and with it the other holders of its output.
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      // One that left the group may hold the pipes open for ever.
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, lastOutputMs).unref();
    });
    child.once('close', () => resolve(exit));
  });
}
