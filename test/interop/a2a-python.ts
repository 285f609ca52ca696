import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A Python with `a2a-sdk[http-server,grpc]` and uvicorn; the tests that need it are skipped without. */
export const python = process.env.DMAS_OPT_PYTHON;
export const noPython = 'needs DMAS_OPT_PYTHON: the path of a Python with a2a-sdk[http-server,grpc] 1.3 and uvicorn';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/a2a/${name}`, import.meta.url));

export interface PythonTask {
  readonly url: string;
  readonly binding: 'JSONRPC' | 'HTTP+JSON' | 'GRPC';
  readonly streaming: boolean;
  /** Use only interfaces of that protocol version. */
  readonly version?: string;
  readonly steps: readonly ({ readonly text: string } | { readonly data: unknown })[];
}

/** As protobuf's JSON: fields that are empty are left out. */
export interface PythonEvent {
  readonly task?: PythonTaskState;
  readonly statusUpdate?: { readonly status: PythonStatus };
  readonly artifactUpdate?: { readonly artifact: PythonArtifact; readonly append?: boolean };
  readonly message?: { readonly parts: readonly PythonPart[] };
}
interface PythonTaskState {
  readonly id: string;
  readonly status: PythonStatus;
  readonly artifacts?: readonly PythonArtifact[];
}
interface PythonStatus {
  readonly state: string;
  readonly message?: { readonly parts: readonly PythonPart[] };
}
interface PythonArtifact {
  readonly parts: readonly PythonPart[];
}
export interface PythonPart {
  readonly text?: string;
  readonly data?: unknown;
}

/** Runs the Python client; answers with the card it saw and the events of each step. */
export async function pythonClient(
  task: PythonTask,
): Promise<{ readonly card: { readonly name: string }; readonly steps: readonly (readonly PythonEvent[])[] }> {
  const { stdout } = await promisify(execFile)(python ?? '', [fixture('client.py'), JSON.stringify(task)], { timeout: 30_000 });
  return JSON.parse(stdout);
}

export interface PythonAgent {
  readonly port: number;
  stop(): Promise<void>;
}

export async function pythonAgent(...args: readonly string[]): Promise<PythonAgent> {
  const child = spawn(python ?? '', [fixture('agent.py'), ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve((JSON.parse(line) as { port: number }).port));
    child.once('exit', (code) => reject(new Error(`the Python agent ended with code ${code}`)));
  });
  return { port, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
