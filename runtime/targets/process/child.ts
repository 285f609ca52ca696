import { type ChildProcess, spawn } from 'node:child_process';
import type { Exit, ReplicaUsage } from '../supervise/host.ts';
import { passLines } from '../supervise/log.ts';
import { type Lease, leaseVariable } from './lease.ts';
import { processesWithEnvironment, processTreeUsage, processUsage, signalGroup, signalProcess } from './procfs.ts';

interface ChildOptions {
  readonly run: NodeModule | ForeignCommand;
  /** For messages and the lease. */
  readonly name: string;
  readonly cwd: string;
  readonly environment: { readonly [name: string]: string };
  readonly lease: Lease;
  readonly onOutput: (line: string) => void;
  readonly onError: (line: string) => void;
}

/** A program of ours: Node.js on a module. It ends by itself when its standard input does. */
interface NodeModule {
  /** Path of the ES module. */
  readonly module: string;
  /** Given to Node before the module. */
  readonly nodeArguments?: readonly string[];
}

/** A program of somebody else, with all it starts. It knows nothing of us, so it is watched (see `guard`). */
interface ForeignCommand {
  readonly command: readonly string[];
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

/** What programs of others expect beside: the user's own folder, for their caches and settings. */
const passedToOthers = [...passedOn, 'HOME'] as const;
/** In the environment of one foreign program and of all it starts, even what leaves its process group. */
const instanceVariable = 'DMAS_INSTANCE';

/**
 * Starts a program as leader of a process group of its own. The standard input of a program of ours is a pipe that nobody
 * writes to: it ends when this process does, however that happens, and the child with it.
 */
export function startChild(options: ChildOptions): Child {
  const { lease, name, run } = options;
  const foreign = 'command' in run;
  const inherited = (foreign ? passedToOthers : passedOn).flatMap((variable) =>
    process.env[variable] === undefined ? [] : [[variable, process.env[variable]]],
  );
  const instance = `${lease.id}/${name}`;
  const [file = '', ...rest] = foreign ? run.command : [process.execPath, ...(run.nodeArguments ?? []), run.module];
  const child = spawn(file, rest, {
    cwd: options.cwd,
    detached: true,
    stdio: [foreign ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: {
      ...Object.fromEntries(inherited),
      ...options.environment,
      ...(foreign ? { [instanceVariable]: instance } : { DMAS_EXIT_WITH_STDIN: '1' }),
      [leaseVariable]: lease.id,
    },
  });
  // The end may already be closed when the child goes first.
  child.stdin?.on('error', () => {});
  if (child.stdout) passLines(child.stdout, options.onOutput);
  if (child.stderr) passLines(child.stderr, options.onError);
  const exited = exitOf(child, options.onError).then((exit) => {
    // What left the group is of no use without it, and nobody else would end it.
    if (foreign) for (const stray of processesWithEnvironment(instanceVariable, instance)) signalProcess(stray, 'SIGKILL');
    return exit;
  });
  const { pid } = child;
  const runs = () => child.exitCode === null && child.signalCode === null;
  if (pid === undefined) return { pid: 0, exited, usage: () => ({ cpuSeconds: 0, peakMemoryMb: 0 }), signal() {}, kill() {} };
  lease.spawned(name, pid);
  if (foreign) guard(pid, child);
  let last: ReplicaUsage = { cpuSeconds: 0, peakMemoryMb: 0 };
  const usage = () => {
    const now = runs() ? (foreign ? processTreeUsage(pid) : processUsage(pid)) : null;
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

/**
 * Ends a foreign program when this process goes without a word: a shell waits for the end of its standard input, which
 * only we hold open. Where there is no shell, the lease is what finds the program later.
 */
function guard(pid: number, child: ChildProcess): void {
  if (process.platform === 'win32') return;
  const shell = spawn('/bin/sh', ['-c', 'read -r _; kill -KILL -"$1"', 'guard', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
  });
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  shell.unref();
  // Killed before its input ends, so that it touches no later group of that number.
  child.once('exit', () => shell.kill('SIGKILL'));
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
