import { closeSync, openSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { LoadFacts, Sample } from '../../compiler/contracts/measurement.ts';
import { createAnswerBook } from './answers.ts';
import { timetable } from './arrivals.ts';
import { createClients, runClosedClients } from './clients.ts';
import { busyFraction, readHostCpu } from './host-cpu.ts';
import type { LoadJob, LoadResult } from './job.ts';
import { createJudge } from './judge.ts';
import { pace, spinBelowPerSecond, waitUntil } from './pace.ts';
import { saturate } from './saturate.ts';
import { runSessions } from './session-clients.ts';

/** A send this much after its window closed still counts as delivered there. */
const deliveryToleranceMs = 50;

/**
 * Puts one ingress under load as the job says and writes a sample per request. Latencies count from the intended send:
 * open-loop sends never wait for outstanding answers.
 */
export async function runLoad(job: LoadJob, signal: AbortSignal = new AbortController().signal): Promise<LoadResult> {
  const samples: Sample[] = [];
  const answers = createAnswerBook(job.classes);
  const judge = createJudge(job.classes, answers, samples);
  const planned = timetable(job);
  const endMs = job.warmupMs + job.durationMs;

  // autocannon knows neither a pause between requests nor the pieces of a stream, nor how to go on after a question.
  const plain = job.classes.map(
    ({ arrivals, stream, humans }) => arrivals.process === 'closed' && arrivals.thinkMs === 0 && !stream && humans === undefined,
  );
  // Loaded before the clock starts: it takes longer than many a warm-up.
  if (plain.includes(true)) await import('autocannon');

  const startMs = performance.now();
  const startedAtMs = Date.now();
  const clock = () => performance.now() - startMs;
  const clients = createClients(job, judge, clock);
  const lagsMs: number[] = [];
  let delivered = 0;
  const noteSend = (request: { readonly intendedMs: number; readonly warmup: boolean }, sentMs: number) => {
    if (request.warmup) return;
    lagsMs.push(sentMs - request.intendedMs);
    if (sentMs <= endMs + deliveryToleranceMs) delivered++;
  };
  let turns = 0;
  const noteTurn = (turn: { readonly intendedMs: number; readonly warmup: boolean }, sentMs: number) => {
    noteSend(turn, sentMs);
    if (!turn.warmup) turns++;
  };
  const fire = (i: number) => {
    const request = planned[i];
    if (!request) return;
    const sentMs = clock();
    void clients.start(request);
    noteSend(request, sentMs);
  };
  const perSecond = (planned.length / Math.max(1, endMs)) * 1000;
  const closed = job.classes.map((load, classIndex) => {
    if (load.arrivals.process === 'sessions') return runSessions(job, classIndex, clients, clock, noteTurn, signal);
    if (load.arrivals.process !== 'closed') return Promise.resolve();
    return plain[classIndex] ? saturate(job, classIndex, judge, clock) : runClosedClients(job, classIndex, clients, clock, signal);
  });
  const open = pace(
    planned.map((request) => request.intendedMs),
    clock,
    fire,
    signal,
    perSecond <= spinBelowPerSecond,
  );
  const [use] = await Promise.all([measureCpu(job.warmupMs, endMs, clock, signal), open, ...closed]);

  const answeredAll = new AbortController();
  const idle = clients.idle().then(() => answeredAll.abort());
  await waitUntil(endMs + job.graceMs, clock, AbortSignal.any([signal, answeredAll.signal]));
  await clients.breakOff();
  await idle;
  await clients.close();
  samples.sort((a, b) => a.intendedMs - b.intendedMs || a.index - b.index);
  writeSamples(job.samplesFile, samples);

  const seconds = job.durationMs / 1000;
  // Which turns of a session are due depends on its answers, so those that were sent are those that were offered.
  const measured = planned.filter((request) => !request.warmup).length + turns;
  const closedNames = new Set(job.classes.filter((load) => load.arrivals.process === 'closed').map((load) => load.name));
  // A closed loop offers what it gets answered; it cannot fall behind.
  const answered = samples.filter((sample) => closedNames.has(sample.class) && !sample.warmup).length;
  const facts: LoadFacts = {
    offeredPerSecond: (measured + answered) / seconds,
    deliveredPerSecond: (delivered + answered) / seconds,
    lagP99Ms: quantile(lagsMs, 0.99),
    ...use,
  };
  return { samples: samples.length, facts, startedAtMs, answers: answers.agreed() };
}

/** CPU over the measured window only: `driverCpuFraction` of one core, `hostCpuFraction` of all cores. */
async function measureCpu(fromMs: number, toMs: number, clock: () => number, signal: AbortSignal) {
  await waitUntil(fromMs, clock, signal);
  const [host, own, began] = [readHostCpu(), process.cpuUsage(), clock()];
  await waitUntil(toMs, clock, signal);
  const used = process.cpuUsage(own);
  const wallMs = Math.max(1, clock() - began);
  return { driverCpuFraction: (used.user + used.system) / 1000 / wallMs, hostCpuFraction: busyFraction(host, readHostCpu()) };
}

/** Nearest-rank quantile; 0 for an empty list. */
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? 0;
}

const linesPerWrite = 1000;

/** By whole writes: a disk that is almost full takes a part and says nothing. */
function writeSamples(file: string, samples: readonly Sample[]): void {
  const fd = openSync(file, 'w');
  try {
    for (let i = 0; i < samples.length; i += linesPerWrite) {
      const lines = samples.slice(i, i + linesPerWrite).map((sample) => JSON.stringify(sample));
      writeFileSync(fd, `${lines.join('\n')}\n`);
    }
  } finally {
    closeSync(fd);
  }
}
