import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Sample } from '../../../compiler/contracts/index.ts';
import { classResult } from '../../../profiler/block/classes.ts';
import { answerHash } from '../../../profiler/load/answers.ts';
import { runLoad } from '../../../profiler/load/driver.ts';
import { scriptedReply } from '../../../profiler/load/humans.ts';
import type { LoadClass } from '../../../profiler/load/job.ts';
import { metricOf } from '../../../profiler/stats/metrics.ts';
import { madeBlock } from '../stats/blocks.ts';

interface Asked {
  readonly headers: IncomingMessage['headers'];
  readonly body: { readonly n?: number; readonly input?: { readonly n: number }; readonly resume?: { readonly [id: string]: unknown } };
}

let folder: string;
let server: Server | undefined;
const seen: Asked[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-humans-'));
});
afterEach(async () => {
  seen.length = 0;
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve).closeAllConnections()));
  server = undefined;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** An ingress that asks every question of `questions` before it answers with the replies. */
async function ingress(questions: readonly { component: string; prompt: unknown }[], stream = false): Promise<string> {
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as Asked['body'];
      seen.push({ headers: request.headers, body });
      const resume = request.headers['x-dmas-resume'] === undefined ? {} : (body.resume ?? {});
      const open = questions.findIndex((_, index) => !Object.hasOwn(resume, `q${index}`));
      const question = questions[open];
      const asking = question && {
        code: 'inputRequired',
        message: 'waits',
        details: { id: `q${open}`, ...question },
        session: 'session-9',
        request: String(request.headers['x-dmas-request']),
        traceparent: `00-${'a'.repeat(32)}-${`${open}`.repeat(16)}-01`,
        pausedAtMs: 1000 + open,
      };
      if (stream) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`data: {"chunk":"x"}\n\ndata: ${JSON.stringify(asking ? { error: asking } : { output: resume })}\n\n`);
      } else response.writeHead(asking ? 428 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(asking ?? resume));
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function samplesOf(url: string, load: Partial<LoadClass>): Promise<{ samples: Sample[]; delivered: number; offered: number }> {
  const samplesFile = join(folder, 'samples.ndjson');
  const { facts } = await runLoad({
    urls: [url],
    blockId: 'b',
    seed: 1,
    warmupMs: 0,
    durationMs: 200,
    graceMs: 2000,
    classes: [
      {
        name: 'c',
        inputs: [{ n: 1 }],
        arrivals: { process: 'constant', perSecond: 50 },
        stream: false,
        timeoutMs: 2000,
        ...load,
      },
    ],
    samplesFile,
  });
  const lines = (await readFile(samplesFile, 'utf8')).split('\n').filter(Boolean);
  return {
    samples: lines.map((line) => JSON.parse(line) as Sample),
    delivered: facts.deliveredPerSecond,
    offered: facts.offeredPerSecond,
  };
}

const questions = [
  { component: 'review', prompt: 'Publish this?' },
  { component: 'legal', prompt: { lawful: true } },
];
const script = [
  { component: 'review', prompt: 'Publish', reply: { yes: true }, afterMs: 30_000 },
  { prompt: '"lawful":true', reply: null, afterMs: 5_000 },
];

describe('a driver with scripted people', () => {
  it.each([false, true])('replies to each question and goes on where the answer said (streamed: %s)', async (stream) => {
    const url = await ingress(questions, stream);
    const right = { q0: { yes: true }, q1: null };
    const { samples, delivered, offered } = await samplesOf(url, { humans: script, stream, expected: [answerHash(right)] });
    expect(samples.length).toBe(10);
    expect(delivered).toBe(offered);
    for (const sample of samples) expect(sample).toMatchObject({ outcome: 'ok', pauses: 2, humanMs: 35_000, waitedMs: 0 });
    const id = seen[0]?.headers['x-dmas-request'];
    const mine = seen.filter(({ headers }) => headers['x-dmas-request'] === id);
    expect(mine.map(({ body }) => body)).toEqual([
      { n: 1 },
      { input: { n: 1 }, resume: { q0: { yes: true } }, pausedAtMs: 1000 },
      { input: { n: 1 }, resume: right, pausedAtMs: 1001 },
    ]);
    expect(mine.map(({ headers }) => headers['x-dmas-session'])).toEqual([undefined, 'session-9', 'session-9']);
    expect(mine.map(({ headers }) => headers.traceparent?.slice(36, 38))).toEqual([undefined, '00', '11']);
    if (stream) for (const sample of samples) expect(sample.firstChunkMs).toBeLessThan(sample.doneMs);
  });

  it('waits as much of a delay as is asked for, and takes it off the latency', async () => {
    const url = await ingress(questions);
    const { samples } = await samplesOf(url, { humans: script, humanWaitMs: 60 });
    for (const { waitedMs = 0, humanMs, doneMs, sentMs } of samples) {
      expect(humanMs).toBe(35_000);
      // Timers may fire a little before their time by another clock, never much.
      expect(waitedMs).toBeGreaterThan(100);
      expect(doneMs - sentMs).toBeGreaterThan(waitedMs);
    }
    const result = classResult(samples, 200);
    const latencies = samples.map(({ doneMs, intendedMs, waitedMs = 0 }) => doneMs - intendedMs - waitedMs);
    expect(result.latencyMs?.max).toBeCloseTo(Math.max(...latencies), 6);
    expect(result.human?.elapsedMs.max).toBeCloseTo(Math.max(...latencies) + 35_000, 6);
  });

  it('ends a request whose question nobody answers as incomplete, and says who asked what', async () => {
    const url = await ingress(questions);
    const { samples } = await samplesOf(url, { humans: script.slice(0, 1) });
    for (const sample of samples) {
      expect(sample).toMatchObject({
        outcome: 'incomplete',
        error: 'paused at legal',
        asked: { component: 'legal', prompt: { lawful: true } },
        pauses: 1,
        status: 428,
      });
    }
    expect(classResult(samples, 200).errors).toEqual({ 'paused at legal': 10 });
  });

  it('says the same without any script, in a closed loop too', async () => {
    const url = await ingress(questions);
    for (const arrivals of [
      { process: 'constant', perSecond: 50 },
      { process: 'closed', clients: 1, thinkMs: 0 },
    ] as const) {
      const { samples } = await samplesOf(url, { arrivals });
      expect(samples.length).toBeGreaterThan(0);
      for (const sample of samples) expect(sample).toMatchObject({ outcome: 'incomplete', error: 'paused at review' });
    }
  });

  it('goes on after questions in a closed loop', async () => {
    const url = await ingress(questions);
    const { samples } = await samplesOf(url, { arrivals: { process: 'closed', clients: 2, thinkMs: 0 }, humans: script });
    expect(samples.length).toBeGreaterThan(2);
    for (const sample of samples) expect(sample).toMatchObject({ outcome: 'ok', pauses: 2 });
  });

  it('gives each stretch of a request the whole time', async () => {
    // Two waits of 150 ms beside a timeout of 200 ms, to which the client adds a slack of 250 ms.
    const url = await ingress([...questions, { component: 'review', prompt: 'Publish again?' }]);
    const { samples } = await samplesOf(url, { humans: script, humanWaitMs: 200, timeoutMs: 200 });
    for (const sample of samples) expect(sample).toMatchObject({ outcome: 'ok', pauses: 3 });
  });

  it('stops where a reply is not taken', async () => {
    server = createServer((request, response) => {
      request.resume();
      const details = { id: 'same', component: 'review', prompt: 'Again?' };
      const body = { code: 'inputRequired', message: 'waits', details, session: 's', request: 'r', pausedAtMs: 1 };
      response.writeHead(428, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const { samples } = await samplesOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      humans: [{ reply: 1, afterMs: 1 }],
    });
    for (const sample of samples) expect(sample).toMatchObject({ outcome: 'incomplete', error: 'paused at review', pauses: 1 });
  });
});

describe('a script', () => {
  it('gives the first reply that fits', () => {
    const text = fc.string({ maxLength: 6 });
    const entry = fc.record(
      { component: fc.constantFrom('a', 'b'), prompt: text, reply: fc.jsonValue(), afterMs: fc.nat() },
      { requiredKeys: ['reply', 'afterMs'] },
    );
    fc.assert(
      fc.property(fc.array(entry), fc.constantFrom('a', 'b', 'c'), fc.jsonValue(), (entries, component, prompt) => {
        const fits = entries.map(
          (each) =>
            (each.component ?? component) === component &&
            (typeof prompt === 'string' ? prompt : JSON.stringify(prompt)).length >= 0 &&
            scriptedReply([each as never], { id: 'x', component, prompt }) !== undefined,
        );
        const found = scriptedReply(entries as never, { id: 'x', component, prompt });
        expect(found).toBe(entries[fits.indexOf(true)]);
        if (typeof prompt === 'string' && found?.prompt !== undefined) expect(prompt).toContain(found.prompt);
        if (found?.component !== undefined) expect(found.component).toBe(component);
      }),
    );
  });
});

describe('people’s time in a block', () => {
  const sample = (more: Partial<Sample>): Sample => ({
    class: 'c',
    index: 0,
    input: 0,
    intendedMs: 0,
    sentMs: 1,
    doneMs: 100,
    firstChunkMs: null,
    maxGapMs: null,
    meanGapMs: null,
    status: 200,
    bytesIn: 1,
    outcome: 'ok',
    warmup: false,
    ...more,
  });

  it('is in no latency, whether waited or not, and in the elapsed time', () => {
    const result = classResult([sample({}), sample({ doneMs: 150, pauses: 2, humanMs: 9000, waitedMs: 50 })], 1000);
    expect(result.latencyMs).toMatchObject({ n: 2, mean: 100, max: 100 });
    expect(result.human).toMatchObject({
      requests: 1,
      pauses: 2,
      waitMs: { n: 1, mean: 9000 },
      elapsedMs: { n: 2, mean: 4600, max: 9100 },
    });
    const block = madeBlock({ classes: { c: result } });
    expect(metricOf(block, 'latency.mean', 'c')).toBe(100);
    expect(metricOf(block, 'elapsed.mean', 'c')).toBe(4600);
  });

  it('is absent where nobody was asked, and elapsed time is latency', () => {
    const result = classResult([sample({})], 1000);
    expect(result).not.toHaveProperty('human');
    expect(metricOf(madeBlock({ classes: { c: result } }), 'elapsed.p95', 'c')).toBe(100);
  });
});
