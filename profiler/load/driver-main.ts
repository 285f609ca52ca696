import { existsSync, readFileSync } from 'node:fs';
import { isDiskError } from '../../compiler/contracts/errors.ts';
import { runLoad } from './driver.ts';
import type { LoadJob, LoadUnwritten } from './job.ts';

/** How late a wish to stop may be noticed: less than a request takes that a model answers. */
const stopPollMs = 50;

function stopSignal(file: string | undefined): AbortSignal {
  const controller = new AbortController();
  if (file === undefined) return controller.signal;
  const look = () => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    controller.abort();
  };
  const timer = setInterval(look, stopPollMs).unref();
  look();
  return controller.signal;
}

// The load job as a program of its own: reads a LoadJob from the file named by DMAS_JOB and prints the LoadResult as
// its last line. It runs outside the collecting process, so that neither slows the other.
try {
  const file = process.env.DMAS_JOB;
  if (file === undefined) throw new Error('DMAS_JOB does not name a job file');
  const job = JSON.parse(readFileSync(file, 'utf8')) as LoadJob;
  const result = await runLoad(job, stopSignal(job.stopFile));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  if (isDiskError(error)) process.stdout.write(`${JSON.stringify({ disk: error.message } satisfies LoadUnwritten)}\n`);
  else process.exitCode = 1;
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}
