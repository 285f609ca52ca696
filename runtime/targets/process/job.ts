import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DmasError, fail, type StageContext } from '../../../compiler/contracts/index.ts';
import { DeadlineExceeded, deadline } from '../supervise/deadline.ts';
import { failOnDisk } from '../supervise/disk.ts';
import { exitText } from '../supervise/host.ts';
import { ReplicaLog } from '../supervise/log.ts';
import { fileName } from '../supervise/members.ts';
import { type Job, jobVariable } from '../target.ts';
import { startChild } from './child.ts';
import { takeLease } from './lease.ts';

/** Units see to it themselves that they end with their owner; a job need not know. Workers of a job load this too. */
const endWithOwner = `--import=data:text/javascript,${encodeURIComponent(
  'import { isMainThread } from "node:worker_threads"; if (isMainThread) process.stdin.on("end", () => process.exit(1)).resume().unref();',
)}`;

/**
 * Runs a bundled program as a process of this machine, to its end.
 * @returns its last line of output, parsed as JSON
 * @throws DmasError DMAS_JOB_FAILED when it fails, takes too long or prints no JSON; DMAS_INTERRUPTED on abort
 */
export async function runProcessJob(job: Job, context: StageContext): Promise<unknown> {
  mkdirSync(job.folder, { recursive: true });
  const name = fileName(job.id);
  const module = join(job.folder, `${name}.mjs`);
  const inputFile = join(job.folder, `${name}.input.json`);
  const lease = takeLease(job.id, [module, inputFile]);
  const log = new ReplicaLog(join(job.folder, `${name}.log`), {});
  const until = deadline(job.timeoutMs, context.signal);
  let lastLine = '';
  try {
    until.signal.throwIfAborted();
    writeFileSync(module, job.code, { mode: 0o600 });
    writeFileSync(inputFile, JSON.stringify(job.input), { mode: 0o600 });
    const child = startChild({
      run: { module, nodeArguments: [endWithOwner] },
      name: job.id,
      cwd: job.folder,
      environment: { [jobVariable]: inputFile },
      lease,
      onOutput: (line) => {
        if (line.trim()) lastLine = line;
      },
      onError: (line) => log.write(line),
    });
    until.signal.addEventListener('abort', () => child.kill(), { once: true });
    const exit = await child.exited;
    until.signal.throwIfAborted();
    if (exit.code !== 0) throw new Error(exitText(exit));
    return parseResult(lastLine);
  } catch (error) {
    if (context.signal.aborted)
      throw new DmasError({ code: 'DMAS_INTERRUPTED', severity: 'error', message: `${job.id} was interrupted.` }, { cause: error });
    failOnDisk(error);
    const what = error instanceof DeadlineExceeded ? `did not end within ${job.timeoutMs} ms` : (error as Error).message;
    const tail = log.tail();
    fail('DMAS_JOB_FAILED', `${job.id} ${what}.${tail ? ` Its log ends with:\n${tail}` : ''}`, { cause: error });
  } finally {
    until.clear();
    await log.close();
    rmSync(module, { force: true });
    rmSync(inputFile, { force: true });
    lease.release();
  }
}

function parseResult(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`printed no JSON as its last line but ${JSON.stringify(line.slice(0, 200))}`, { cause: error });
  }
}
