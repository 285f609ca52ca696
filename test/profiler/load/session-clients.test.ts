import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sample } from '../../../compiler/contracts/index.ts';
import { runLoad } from '../../../profiler/load/driver.ts';
import type { LoadJob } from '../../../profiler/load/job.ts';
import { jobSessions } from '../../../profiler/load/sessions.ts';

const serviceMs = 30;
const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => setTimeout(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}'), serviceMs));
});
let folder: string;
let url: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-sessions-'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

it('plays sessions: starts whatever is outstanding, turns in order, each its think time after the answer before', async () => {
  const job: LoadJob = {
    urls: [url],
    blockId: 'b',
    seed: 7,
    warmupMs: 200,
    durationMs: 1000,
    graceMs: 500,
    samplesFile: join(folder, 'samples.ndjson'),
    classes: [
      {
        name: 'c',
        inputs: ['a', 'b', 'c', 'd', 'e'],
        arrivals: {
          process: 'sessions',
          perSecond: 12,
          scripts: [
            { firstInput: 0, thinkMs: [0, 60, 120] },
            { firstInput: 3, thinkMs: [0, 20_000] },
          ],
        },
        stream: false,
        timeoutMs: 2000,
      },
    ],
  };
  const starts = jobSessions(job, 0);
  const { facts } = await runLoad(job);
  const samples = (await readFile(job.samplesFile, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);
  // Sessions of the second script that are under way for 20 s bring some of them back.
  expect(starts.some((start) => start.firstTurn > 0)).toBe(true);
  const bySession = new Map<string, Sample[]>();
  for (const sample of samples) bySession.set(sample.session ?? '', [...(bySession.get(sample.session ?? '') ?? []), sample]);
  expect(bySession.size).toBe(starts.length);
  expect(new Set(samples.map((sample) => sample.index)).size).toBe(samples.length);
  for (const start of starts) {
    const turns = bySession.get(`7-c-${start.session}`) ?? [];
    expect(turns[0]?.intendedMs).toBe(start.atMs);
    for (const [i, turn] of turns.entries()) {
      expect(turn.input).toBe(start.script.firstInput + start.firstTurn + i);
      expect(turn.intendedMs).toBeLessThan(1200);
      expect(turn.warmup).toBe(turn.intendedMs < 200);
      const before = turns[i - 1];
      if (!before) continue;
      const thinkMs = start.script.thinkMs[start.firstTurn + i] ?? Number.NaN;
      // From the answer to the moment it is meant to be sent; the driver needs a moment to see the answer.
      expect(turn.intendedMs - before.doneMs).toBeGreaterThanOrEqual(thinkMs);
      expect(turn.intendedMs - before.doneMs).toBeLessThan(thinkMs + 60);
    }
  }
  const counted = samples.filter((sample) => !sample.warmup).length;
  expect(facts.offeredPerSecond).toBeCloseTo(counted, 6);
  expect(facts.deliveredPerSecond).toBeCloseTo(counted, 6);
});
