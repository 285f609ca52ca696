import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type BlockRequest, deriveSeed, type Place, type Problem } from '../../compiler/contracts/index.ts';
import type { ArrivalsConfig, Scenario, ScriptedReplyConfig } from '../../scenarios/schema.ts';
import { answerHash } from './answers.ts';
import { parseArrivalLog, playedLog } from './arrival-log.ts';
import type { LoadArrivals, LoadClass, LoadJob, ScriptedReply } from './job.ts';
import { atRate, meanRate } from './processes.ts';
import { readSessions } from './session-file.ts';
import { meanTurns } from './sessions.ts';

/** The workload of a scenario with its files read. */
export interface Workload {
  readonly classes: readonly LoadClass[];
}

/** Reads inputs, right answers and arrival logs; every problem at once. */
export async function readWorkload(scenario: Scenario): Promise<{ readonly workload?: Workload; readonly problems: readonly Problem[] }> {
  const problems: Problem[] = [];
  const place = (path: string): Place => ({ file: scenario.file, ...scenario.places[path] });
  const classes: LoadClass[] = [];
  for (const [name, config] of Object.entries(scenario.config.workload.classes)) {
    const { arrivals, inputs: drawn } = await readArrivals(scenario, name, config.arrivals, problems);
    const ownInputs = config.inputs !== undefined;
    const at = place(ownInputs ? `workload.classes.${name}.inputs` : 'workload.inputs');
    const source = config.inputs ?? scenario.config.workload.inputs;
    if (drawn && ownInputs) {
      problems.push({
        code: 'DMAS_CFG_CONTRADICTION',
        severity: 'error',
        message: `class ${name} has inputs and sessions, whose turns are its inputs`,
        at,
        fix: 'leave inputs out; to send inputs of your own, write them into the file of the sessions',
      });
    }
    const inputs = drawn ?? (typeof source === 'string' ? await readJsonLines(scenario.folder, source, at, problems) : source);
    const right =
      config.expect === undefined
        ? undefined
        : await readJsonLines(scenario.folder, config.expect, place(`workload.classes.${name}.expect`), problems);
    if (right && right.length !== inputs.length) {
      problems.push({
        code: 'DMAS_CFG_CONTRADICTION',
        severity: 'error',
        message: `class ${name} has ${inputs.length} inputs but ${right.length} right answers`,
        at: place(`workload.classes.${name}.expect`),
        fix: 'give one answer per input, line by line',
      });
    }
    classes.push({
      name,
      inputs,
      arrivals,
      stream: config.stream,
      timeoutMs: config.timeout,
      ...(config.sessions === undefined ? {} : { sessions: config.sessions }),
      ...(config.humans === undefined ? {} : { humans: config.humans.map(scripted) }),
      ...(config.humanWait === 0 ? {} : { humanWaitMs: config.humanWait }),
      ...(right ? { expected: right.map(answerHash) } : {}),
    });
  }
  return problems.length > 0 ? { problems } : { workload: { classes }, problems };
}

const scripted = ({ component, prompt, reply, after }: ScriptedReplyConfig): ScriptedReply => ({
  ...(component === undefined ? {} : { component }),
  ...(prompt === undefined ? {} : { prompt }),
  reply,
  afterMs: after,
});

async function readJsonLines(folder: string, file: string, at: Place, problems: Problem[]): Promise<unknown[]> {
  const path = resolve(folder, file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : `cannot be read: ${(error as Error).message}`;
    problems.push({
      code: 'DMAS_FILE_UNREADABLE',
      severity: 'error',
      message: `${file} ${reason}`,
      at,
      fix: 'name a JSON Lines file, or write the inputs as a list',
    });
    return [];
  }
  const values: unknown[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    try {
      values.push(JSON.parse(line));
    } catch (error) {
      const message = `not JSON: ${(error as Error).message}`;
      problems.push({
        code: 'DMAS_CFG_INVALID_VALUE',
        severity: 'error',
        message,
        at: { file: path, line: index + 1, column: 1, length: line.length },
      });
    }
  }
  if (values.length === 0 && problems.length === 0) {
    problems.push({
      code: 'DMAS_CFG_INVALID_VALUE',
      severity: 'error',
      message: `${file} has no line`,
      at: { file: path, line: 1, column: 1 },
    });
  }
  return values;
}

interface ReadArrivals {
  readonly arrivals: LoadArrivals;
  /** What a session's turns send. */
  readonly inputs?: readonly unknown[];
}

async function readArrivals(scenario: Scenario, name: string, arrivals: ArrivalsConfig, problems: Problem[]): Promise<ReadArrivals> {
  const place: Place = { file: scenario.file, ...scenario.places[`workload.classes.${name}.arrivals.file`] };
  const seed = deriveSeed(scenario.config.seed, 'arrivals', name);
  switch (arrivals.process) {
    case 'closed':
      return { arrivals: { process: 'closed', clients: arrivals.clients, thinkMs: arrivals.think } };
    case 'constant':
    case 'poisson':
    case 'gamma':
      return { arrivals };
    case 'mmpp': {
      const [calm, burst] = [arrivals.calm, arrivals.burst].map(({ perSecond, lasts }) => ({ perSecond, meanMs: lasts }));
      if (calm && burst && Math.min(calm.meanMs, burst.meanMs) >= 1) return { arrivals: { process: 'mmpp', states: [calm, burst] } };
      const at = { file: scenario.file, ...scenario.places[`workload.classes.${name}.arrivals`] };
      const message = `class ${name}: a state must last a millisecond or more`;
      problems.push({ code: 'DMAS_CFG_INVALID_VALUE', severity: 'error', message, at, fix: 'give both states a longer `lasts`' });
      return { arrivals: { process: 'log', timesMs: [] } };
    }
    case 'log': {
      const text = await readText(scenario, arrivals.file, place, logFix, problems);
      const parsed = text === undefined ? undefined : parseArrivalLog(text);
      const { rateScale, timeScale, from: fromMs } = arrivals;
      const played = parsed && 'timesMs' in parsed ? playedLog(parsed.timesMs, { rateScale, timeScale, fromMs, seed }) : parsed;
      if (played && 'timesMs' in played) return { arrivals: { process: 'log', timesMs: played.timesMs } };
      if (played) {
        const at = played.line === undefined ? place : { file: resolve(scenario.folder, arrivals.file), line: played.line, column: 1 };
        problems.push({ code: 'DMAS_CFG_INVALID_VALUE', severity: 'error', message: `${arrivals.file} ${played.error}`, at, fix: logFix });
      }
      return { arrivals: { process: 'log', timesMs: [] } };
    }
    case 'sessions': {
      const text = await readText(scenario, arrivals.file, place, sessionsFix, problems);
      const read = text === undefined ? undefined : readSessions(text, { ...arrivals, seed });
      if (read && 'arrivals' in read) return read;
      for (const { message, line } of read?.problems ?? []) {
        const at = line === undefined ? place : { file: resolve(scenario.folder, arrivals.file), line, column: 1 };
        problems.push({ code: 'DMAS_CFG_INVALID_VALUE', severity: 'error', message: `${arrivals.file} ${message}`, at, fix: sessionsFix });
      }
      return { arrivals: { process: 'sessions', perSecond: arrivals.perSecond, scripts: [] }, inputs: [] };
    }
  }
}

const logFix = 'a CSV with a TIMESTAMP column, or one time in seconds per line';
const sessionsFix = 'a fit from `dmas-opt load sessions`, a log of agent sessions, or sessions written out; see docs/workload.md';

async function readText(scenario: Scenario, file: string, at: Place, fix: string, problems: Problem[]): Promise<string | undefined> {
  try {
    return await readFile(resolve(scenario.folder, file), 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : `cannot be read: ${(error as Error).message}`;
    problems.push({ code: 'DMAS_FILE_UNREADABLE', severity: 'error', message: `${file} ${reason}`, at, fix });
    return undefined;
  }
}

/** The same arrivals at another rate: 0.25 offers a quarter of the load. */
export function scaleArrivals(arrivals: LoadArrivals, factor: number): LoadArrivals {
  if (factor === 1) return arrivals;
  if (arrivals.process === 'log') return { process: 'log', timesMs: arrivals.timesMs.map((time) => time / factor) };
  if (arrivals.process === 'closed') return { ...arrivals, clients: Math.max(1, Math.round(arrivals.clients * factor)) };
  if (arrivals.process === 'sessions') return { ...arrivals, perSecond: arrivals.perSecond * factor };
  return atRate(arrivals, factor);
}

/** Requests per second each class offers; for a closed class what its clients would offer with answers in no time is unknown, so null. */
export function offeredPerSecond(arrivals: LoadArrivals): number | null {
  if (arrivals.process === 'closed') return null;
  if (arrivals.process === 'sessions') return arrivals.perSecond * meanTurns(arrivals);
  if (arrivals.process !== 'log') return meanRate(arrivals);
  const last = arrivals.timesMs.at(-1) ?? 0;
  return last > 0 ? ((arrivals.timesMs.length - 1) * 1000) / last : null;
}

/** The driver's job for one block. The scenario's own right answers win over those learnt from the baseline. */
export function loadJob(input: {
  readonly workload: Workload;
  readonly request: BlockRequest;
  readonly urls: readonly string[];
  readonly samplesFile: string;
  readonly graceMs: number;
  readonly expected: { readonly [requestClass: string]: readonly (string | null)[] } | undefined;
  readonly stopFile?: string;
}): LoadJob {
  const { workload, request, expected } = input;
  const classes = workload.classes.map((each): LoadClass => {
    // Clients of a capacity block are shared out as the classes share the load.
    const clients =
      request.closedClients === undefined ? undefined : Math.max(1, Math.round(request.closedClients * shareOf(workload, each)));
    const right = each.expected ?? expected?.[each.name];
    const arrivals: LoadArrivals =
      clients === undefined ? scaleArrivals(each.arrivals, request.rateScale ?? 1) : { process: 'closed', clients, thinkMs: 0 };
    return { ...each, arrivals, ...(right ? { expected: right } : {}) };
  });
  return {
    urls: input.urls,
    blockId: request.id,
    seed: request.seed,
    warmupMs: request.warmupMs,
    durationMs: request.durationMs,
    graceMs: input.graceMs,
    classes,
    samplesFile: input.samplesFile,
    ...(input.stopFile === undefined ? {} : { stopFile: input.stopFile }),
  };
}

/** Share of the offered requests a class has; equal shares where a class is closed and its rate is not known. */
function shareOf(workload: Workload, loadClass: LoadClass): number {
  const rates = workload.classes.map((each) => offeredPerSecond(each.arrivals));
  const total = rates.reduce<number>((sum, rate) => sum + (rate ?? 0), 0);
  const own = offeredPerSecond(loadClass.arrivals);
  return rates.includes(null) || own === null || total === 0 ? 1 / workload.classes.length : own / total;
}
