/**
 * Runs in the cluster: starts the program of a job, passes on what it prints, and, when the program writes files or may be
 * stopped by one, answers for them until they were fetched: `GET /outcome`, `GET /files/<n>`, `POST /stop`, `POST /taken`.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { gzipSync } from 'node:zlib';
import { type JobFiles, type JobOutcome, jobPort } from './job.ts';

declare global {
  /** Text of a file that came with this one; set by what loads it. */
  var dmasFile: (name: string) => string;
}

/** How long files are kept for a caller that does not come. */
const keptMs = 120_000;

const scratch = process.env.TMPDIR ?? '/tmp';
const files = JSON.parse(process.env.DMAS_JOB_FILES ?? '{"writes":[],"watches":[]}') as JobFiles;
const here = new Map([...files.writes, ...files.watches].map((path, index) => [path, join(scratch, `file-${index}`)]));
const program = join(scratch, 'program.mjs');
const input = join(scratch, 'input.json');
writeFileSync(program, globalThis.dmasFile('program.mjs'));
const given = JSON.parse(globalThis.dmasFile('input.json')) as unknown;
writeFileSync(
  input,
  JSON.stringify(given, (_, value: unknown) => (typeof value === 'string' ? (here.get(value) ?? value) : value)),
);

const child = spawn(process.execPath, [program], {
  cwd: scratch,
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { PATH: process.env.PATH, TMPDIR: scratch, DMAS_JOB: input },
});
let lastLine = '';
createInterface({ input: child.stdout }).on('line', (line) => {
  process.stdout.write(`${line}\n`);
  if (line.trim() !== '') lastLine = line;
});
const outcome = new Promise<JobOutcome>((resolve) => {
  child.once('close', (code, signal) => resolve({ code, signal, lastLine }));
});
const end = ({ code }: JobOutcome) => process.exit(code ?? 1);
process.on('SIGTERM', () => child.kill('SIGKILL'));

if (here.size === 0) end(await outcome);
const server = createServer(async (request, response) => {
  const { method, url = '' } = request;
  request.resume();
  const json = (body: unknown) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const wanted = /^\/files\/(\d+)$/.exec(url)?.[1];
  if (method === 'GET' && url === '/outcome') json(await outcome);
  else if (method === 'GET' && wanted !== undefined) {
    await outcome;
    const path = here.get(files.writes[Number(wanted)] ?? '');
    if (path === undefined || !existsSync(path)) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': 'application/gzip' }).end(gzipSync(readFileSync(path)));
  } else if (method === 'POST' && url === '/stop') {
    for (const path of files.watches) writeFileSync(here.get(path) ?? '', '');
    json({});
  } else if (method === 'POST' && url === '/taken') {
    const ended = await outcome;
    response.once('finish', () => end(ended));
    json({});
  } else response.writeHead(404).end();
});
server.listen(jobPort, '0.0.0.0');
const ended = await outcome;
setTimeout(() => end(ended), keptMs);
