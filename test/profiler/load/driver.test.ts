import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bundleJob } from '../../../compiler/bundle.ts';
import type { Sample } from '../../../compiler/contracts/index.ts';
import { answerHash } from '../../../profiler/load/answers.ts';
import { runLoad } from '../../../profiler/load/driver.ts';
import type { LoadClass, LoadJob } from '../../../profiler/load/job.ts';

type Seen = { body: unknown; headers: IncomingMessage['headers'] };

let folder: string;
let server: Server | undefined;
let seen: Seen[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-load-'));
});
afterEach(async () => {
  await new Promise((resolve) => {
    if (!server) return resolve(undefined);
    server.close(resolve);
    server.closeAllConnections();
    server = undefined;
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** An ingress that answers as `handle` says. */
async function ingress(handle: (body: never, response: ServerResponse) => void): Promise<string> {
  seen = [];
  server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as unknown;
      seen.push({ body, headers: request.headers });
      handle(body as never, response);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const reply = (response: ServerResponse, value: unknown, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

const load = (more: Partial<LoadClass> = {}): LoadClass => ({
  name: 'c',
  inputs: [{ n: 1 }, { n: 2 }, { n: 3 }],
  arrivals: { process: 'constant', perSecond: 60 },
  stream: false,
  timeoutMs: 2000,
  ...more,
});
const job = (url: string, classes: LoadClass[], more: Partial<LoadJob> = {}): LoadJob => ({
  urls: [url],
  blockId: 'block-1',
  seed: 4,
  warmupMs: 200,
  durationMs: 600,
  graceMs: 500,
  classes,
  samplesFile: join(folder, 'samples.ndjson'),
  ...more,
});
const samplesOf = async (file: string) =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Sample);

describe('the open-loop driver', () => {
  it('sends the planned requests, checks answers and writes a sample each', async () => {
    const url = await ingress(({ n }: { n: number }, response) => reply(response, n === 2 ? { got: 'wrong' } : { b: 1, got: n }));
    // Key order must not matter.
    const expected = [answerHash({ got: 1, b: 1 }), answerHash({ got: 2, b: 1 }), null];
    const input = job(url, [load({ expected, sessions: 2 })]);
    const result = await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    expect(samples.length).toBe(48);
    expect(result.samples).toBe(48);
    expect(samples.filter((sample) => sample.warmup).length).toBe(12);
    for (const sample of samples) {
      expect(sample.outcome).toBe(sample.input === 1 ? 'wrong' : 'ok');
      expect(sample.status).toBe(200);
      expect(sample.sentMs).toBeGreaterThanOrEqual(sample.intendedMs);
      expect(sample.doneMs).toBeGreaterThan(sample.sentMs);
    }
    expect(result.answers.c).toEqual([expected[0], answerHash({ got: 'wrong' }), answerHash({ got: 3, b: 1 })]);
    expect(result.facts.offeredPerSecond).toBeCloseTo(60, 0);
    expect(result.facts.deliveredPerSecond).toBe(result.facts.offeredPerSecond);
    const first = seen[0];
    expect(first?.headers).toMatchObject({ 'x-dmas-class': 'c', 'x-dmas-block': 'block-1', 'x-dmas-deadline-ms': '2000' });
    expect(first?.headers['x-dmas-session']).toMatch(/^4-c-[01]$/);
  });

  it('keeps sending while answers are outstanding, and counts what a stall costs from the intended time', async () => {
    // A server that answers nothing until all requests are there: a closed loop would wait for ever.
    const waiting: (() => void)[] = [];
    const url = await ingress((_body, response) => {
      waiting.push(() => reply(response, 1));
      if (waiting.length === 50) for (const answer of waiting) answer();
    });
    const input = job(url, [load({ arrivals: { process: 'constant', perSecond: 100 } })], { warmupMs: 0, durationMs: 500, graceMs: 5000 });
    await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    expect(samples.length).toBe(50);
    expect(samples.every((sample) => sample.outcome === 'ok')).toBe(true);
    const firstDone = Math.min(...samples.map((sample) => sample.doneMs));
    expect(samples.every((sample) => sample.sentMs < firstDone)).toBe(true);
    // However late each was sent and answered on a busy host: the first has waited for the last.
    const intended = samples.map((sample) => sample.intendedMs).sort((a, b) => a - b);
    for (const [n, atMs] of intended.entries()) expect(atMs - (intended[0] ?? 0)).toBeCloseTo(10 * n, 6);
    expect(Math.min(...samples.map((sample) => sample.doneMs))).toBeGreaterThanOrEqual(intended.at(-1) ?? Number.POSITIVE_INFINITY);
  });

  it('records typed errors, broken connections, timeouts and what never ended', async () => {
    const url = await ingress(({ n }: { n: number }, response) => {
      if (n === 1) reply(response, { code: 'overloaded', message: 'full' }, 429);
      else if (n === 2) response.destroy();
      else if (n === 3) reply(response, { code: 'deadline', message: 'late' }, 504);
      else if (n === 4) response.writeHead(200).end('<html>');
    });
    const inputs = [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }];
    const input = job(url, [load({ inputs })], { graceMs: 100 });
    const result = await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    const outcome = (n: number) => new Set(samples.filter((s) => s.input === n - 1).map((s) => `${s.outcome} ${s.error} ${s.status}`));
    expect(outcome(1)).toEqual(new Set(['error overloaded 429']));
    expect(outcome(2)).toEqual(new Set(['error connection 0']));
    expect(outcome(3)).toEqual(new Set(['timeout deadline 504']));
    expect(outcome(4)).toEqual(new Set(['error not-json 200']));
    expect(outcome(5)).toEqual(new Set(['incomplete incomplete 0']));
    expect(result.answers.c).toEqual([null, null, null, null, null]);
  });

  it('gives up on a request when its own timeout has passed', async () => {
    const url = await ingress(() => {});
    const input = job(url, [load({ timeoutMs: 50, arrivals: { process: 'log', timesMs: [0] } })], { warmupMs: 0, graceMs: 2000 });
    await runLoad(input);
    expect((await samplesOf(input.samplesFile)).map((sample) => sample.outcome)).toEqual(['timeout']);
  });

  it('times the first chunk and the gaps of a stream', async () => {
    const url = await ingress((_body, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const pieces = [
        'data: {"chunk":"a"}\n\n',
        'data: {"chunk":"b"}\n\n',
        'data: {"chunk":"c"}\n\n',
        'data: {"output":{"text":"abc"}}\n\n',
      ];
      const next = () => {
        response.write(pieces.shift());
        if (pieces.length > 0) setTimeout(next, 30);
        else response.end();
      };
      setTimeout(next, 30);
    });
    const input = job(url, [load({ stream: true, expected: Array(3).fill(answerHash({ text: 'abc' })) })], {
      warmupMs: 0,
      durationMs: 100,
    });
    await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    expect(samples.length).toBeGreaterThan(3);
    for (const sample of samples) {
      expect(sample.outcome).toBe('ok');
      expect(sample.firstChunkMs).toBeGreaterThan(sample.sentMs);
      expect(sample.doneMs).toBeGreaterThan(sample.firstChunkMs ?? Number.POSITIVE_INFINITY);
      expect(sample.meanGapMs).toBeGreaterThan(0);
      expect(sample.maxGapMs).toBeGreaterThanOrEqual(sample.meanGapMs ?? 0);
    }
    expect(seen[0]?.headers.accept).toBe('text/event-stream');
  });

  it('says so when a stream ends in an error or without an output', async () => {
    const url = await ingress(({ n }: { n: number }, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(n === 1 ? 'data: {"error":{"code":"failed","message":"x"}}\n\n' : 'data: {"chunk":1}\n\n');
    });
    const input = job(url, [load({ stream: true })], { warmupMs: 0, durationMs: 200 });
    await runLoad(input);
    for (const sample of await samplesOf(input.samplesFile))
      expect([sample.outcome, sample.error]).toEqual(['error', sample.input === 0 ? 'failed' : 'no-output']);
  });

  it('keeps one session with one ingress replica', async () => {
    const url = await ingress((_body, response) => reply(response, 1));
    const second = createServer((request, response) => {
      request.resume();
      seen.push({ body: 'second', headers: request.headers });
      reply(response, 1);
    });
    await new Promise<void>((resolve) => second.listen(0, '127.0.0.1', resolve));
    const other = `http://127.0.0.1:${(second.address() as AddressInfo).port}`;
    await runLoad(job(url, [load({ sessions: 6 })], { urls: [url, other] }));
    second.close();
    second.closeAllConnections();
    const places = new Map<string, Set<boolean>>();
    for (const { headers, body } of seen) {
      const session = String(headers['x-dmas-session']);
      places.set(session, (places.get(session) ?? new Set()).add(body === 'second'));
    }
    expect(places.size).toBe(6);
    expect([...places.values()].every((where) => where.size === 1)).toBe(true);
    expect(new Set([...places.values()].map((where) => [...where][0])).size).toBe(2);
  });
});

describe('the closed loop', () => {
  it('keeps as many requests open as there are clients, and checks answers', async () => {
    let open = 0;
    let most = 0;
    const url = await ingress(({ n }: { n: number }, response) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        reply(response, n === 3 ? { oops: 'ü'.repeat(3) } : { n });
      }, 10);
    });
    const expected = [answerHash({ n: 1 }), answerHash({ n: 2 }), answerHash({ n: 3 })];
    const input = job(url, [load({ arrivals: { process: 'closed', clients: 3, thinkMs: 0 }, expected })]);
    const result = await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    expect(most).toBe(3);
    expect(samples.length).toBeGreaterThan(3);
    for (const sample of samples) expect(sample.outcome).toBe(sample.input === 2 ? 'wrong' : 'ok');
    expect(samples.some((sample) => sample.warmup) && samples.some((sample) => !sample.warmup)).toBe(true);
    expect(result.facts.deliveredPerSecond).toBeGreaterThan(0);
    expect(new Set(seen.map(({ headers }) => headers['x-dmas-request'])).size).toBe(seen.length);
  });

  it('pauses for the think time, beside an open class', async () => {
    const url = await ingress((_body, response) => reply(response, 1));
    const closed = load({ name: 'closed', arrivals: { process: 'closed', clients: 2, thinkMs: 50 } });
    const input = job(url, [closed, load({ name: 'open' })], { warmupMs: 0 });
    await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    const thinking = samples.filter((sample) => sample.class === 'closed');
    // Two clients for 600 ms with at least 50 ms between requests.
    expect(thinking.length).toBeLessThanOrEqual(24);
    expect(thinking.length).toBeGreaterThan(0);
    expect(samples.filter((sample) => sample.class === 'open').length).toBe(36);
  });

  it('gives up on an ingress that is not there instead of hammering it', async () => {
    const url = await ingress(() => {});
    server?.close();
    server = undefined;
    const input = job(url, [load({ arrivals: { process: 'closed', clients: 2, thinkMs: 0 } })]);
    await runLoad(input);
    const samples = await samplesOf(input.samplesFile);
    expect(samples.length).toBeGreaterThan(0);
    expect(samples.length).toBeLessThan(1000);
    expect(samples.every((sample) => sample.outcome === 'error' && sample.error === 'connection')).toBe(true);
  });
});

describe('the driver as a program of its own', () => {
  it('runs from one file, reads its job and prints the result as its last line', async () => {
    const url = await ingress(({ n }: { n: number }, response) => reply(response, { n }));
    const program = join(folder, 'driver.mjs');
    const jobFile = join(folder, 'job.json');
    await writeFile(program, await bundleJob('profiler/load/driver-main'));
    const classes = [load(), load({ name: 'closed', arrivals: { process: 'closed', clients: 1, thinkMs: 0 } })];
    await writeFile(jobFile, JSON.stringify(job(url, classes)));
    const child = spawn(process.execPath, [program], { cwd: folder, env: { DMAS_JOB: jobFile }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (data: Buffer) => (out += data));
    child.stderr.on('data', (data: Buffer) => (err += data));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect([code, err]).toEqual([0, '']);
    const result = JSON.parse(out.trim().split('\n').at(-1) ?? '') as { samples: number; answers: Record<string, unknown[]> };
    expect(result.samples).toBe((await samplesOf(join(folder, 'samples.ndjson'))).length);
    expect(Object.keys(result.answers)).toEqual(['c', 'closed']);
  });

  it('exits with a reason when there is no job', async () => {
    const program = join(folder, 'driver.mjs');
    await writeFile(program, await bundleJob('profiler/load/driver-main'));
    const child = spawn(process.execPath, [program], { cwd: folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
    let err = '';
    child.stderr.on('data', (data: Buffer) => (err += data));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(1);
    expect(err).toContain('DMAS_JOB');
  });
});
