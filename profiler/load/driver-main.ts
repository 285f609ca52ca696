import { readFileSync } from 'node:fs';
import { isDiskError } from '../../compiler/contracts/errors.ts';
import { runLoad } from './driver.ts';
import type { LoadJob, LoadUnwritten } from './job.ts';

// The load job as a program of its own: reads a LoadJob from the file named by DMAS_JOB and prints the LoadResult as
// its last line. It runs outside the collecting process, so that neither slows the other.
try {
  const file = process.env.DMAS_JOB;
  if (file === undefined) throw new Error('DMAS_JOB does not name a job file');
  const result = await runLoad(JSON.parse(readFileSync(file, 'utf8')) as LoadJob);
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  if (isDiskError(error)) process.stdout.write(`${JSON.stringify({ disk: error.message } satisfies LoadUnwritten)}\n`);
  else process.exitCode = 1;
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}
