import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface LlamaProcess {
  /** Up to and with `/v1`. */
  readonly url: string;
  /** It and this process run with real-time priority. */
  readonly realTime: boolean;
  stop(): Promise<void>;
}

/** Starts a llama.cpp server in a process of its own and waits until its model is loaded. */
export async function startLlamaProcess(options: { readonly [option: string]: unknown }): Promise<LlamaProcess> {
  const script = fileURLToPath(new URL('./llama-server.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(Number(line)));
    child.once('exit', (code) => reject(new Error(`the llama.cpp server ended with ${code}`)));
  });
  // All threads of the server, which computes on one of them, before everything else; this process just before it.
  const realTime = makeRealTime(child.pid ?? 0, 1) && makeRealTime(process.pid, 2);
  return {
    url: `http://127.0.0.1:${port}/v1`,
    realTime,
    stop: async () => {
      if (realTime) spawnSync('chrt', ['--all-tasks', '--other', '--pid', '0', String(process.pid)]);
      child.stdin.end();
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await exited;
      clearTimeout(late);
    },
  };
}

/** Needs Linux, `chrt` of util-linux and the right to; false without. */
const makeRealTime = (pid: number, priority: number) =>
  spawnSync('chrt', ['--all-tasks', '--fifo', '--pid', String(priority), String(pid)]).status === 0;
