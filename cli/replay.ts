import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import {
  type CassetteEntry,
  cassetteText,
  DmasError,
  type LlmTraits,
  mergeEntries,
  type Problem,
  sealEntry,
} from '../compiler/contracts/index.ts';
import { replayOptions } from '../runtime/llm/server/replay-options.ts';
import { readWholeCassette } from '../runtime/replay/cassette-file.ts';
import type { Scenario, ScenarioConfig } from '../scenarios/schema.ts';

/** What a study replays. */
export interface Recording {
  /** Of the content below: names it in plans. */
  readonly sha256: string;
  /** As the tape of a deployment reads it: without prompts, which nothing is looked up by. */
  readonly text: string;
  readonly entries: readonly CassetteEntry[];
}

/** A bundle that holds more is slow to start and to copy; a recording of one pass over the inputs is far smaller. */
const largestMb = 64;
const bytesPerMb = 1024 ** 2;

type Traits = { readonly [backend: string]: LlmTraits };

/**
 * The scenario a study runs: with `replay`, models of others answer from the cassette. What was written stays as it is for
 * recording and for the files of the winner.
 */
export function studiedConfig(config: ScenarioConfig, traits: Traits): ScenarioConfig {
  const { replay } = config;
  if (replay === undefined) return config;
  const models = Object.entries(config.models).map(([name, model]) => {
    const live = traits[model.backend]?.provenance === 'measured';
    return [name, live ? { ...model, backend: 'replay', options: replay.options } : model] as const;
  });
  return { ...config, models: Object.fromEntries(models) };
}

/** The scenario a recording or a serving deployment runs. A model that is only ever replayed is asked where its `url` is. */
export function withoutReplay(config: ScenarioConfig): ScenarioConfig {
  const { replay: _, ...rest } = config;
  const models = Object.entries(config.models).map(([name, model]) => {
    const pointed = model.backend === 'replay' && model.url !== undefined;
    return [name, pointed ? { ...model, backend: 'openai-compatible', options: {} } : model] as const;
  });
  return { ...rest, models: Object.fromEntries(models) };
}

/** The files a study replays, absolute; none when it replays nothing. */
export function cassettesOf({ folder }: Scenario, studied: ScenarioConfig): readonly { readonly file: string; readonly key: string }[] {
  const { replay, models } = studied;
  const own = Object.entries(models).flatMap(([name, model]) => {
    if (model.backend !== 'replay') return [];
    const given = model.options.cassette;
    const named = typeof given === 'string' && given !== '';
    return [
      {
        file: resolve(folder, named ? given : (replay?.cassette ?? './cassette.ndjson')),
        key: named ? `models.${name}.options` : 'replay',
      },
    ];
  });
  const components = replay !== undefined ? [{ file: resolve(folder, replay.cassette), key: 'replay.cassette' }] : [];
  return [...new Map([...own, ...components].map((one) => [one.file, one])).values()];
}

/** Reads what a study replays; every problem at its place in the scenario. Undefined when it replays nothing. */
export async function openRecording(
  scenario: Scenario,
  studied: ScenarioConfig,
): Promise<{ readonly recording?: Recording; readonly problems: readonly Problem[] }> {
  const place = (key: string): At => ({ file: scenario.file, ...(scenario.places[key] ?? {}) });
  const problems: Problem[] = Object.entries(studied.models).flatMap(([name, { backend, limits }]) =>
    limits?.concurrency === undefined || backend !== 'replay' ? [] : [idleConcurrency(name, place(`models.${name}.limits.concurrency`))],
  );
  const files = cassettesOf(scenario, studied);
  if (files.length === 0) return { problems };
  const read = await Promise.all(files.map(({ file, key }) => readOrProblems(file, place(key))));
  problems.push(...read.flatMap((one) => one.problems));
  if (read.some((one) => one.entries === undefined)) return { problems };
  const entries = mergeEntries(...read.flatMap((one) => (one.entries === undefined ? [] : [one.entries])));
  for (const [name, { backend, options }] of Object.entries(studied.models)) {
    if (backend !== 'replay') continue;
    problems.push(...optionProblems(name, options, place(studied.replay === undefined ? `models.${name}.options` : 'replay.options')));
    if (options.onMiss !== 'simulate') problems.push(...noReplies(name, entries, place(`models.${name}`)));
  }
  const text = tapeText(entries);
  const sizeMb = Math.ceil(Buffer.byteLength(text) / bytesPerMb);
  if (sizeMb > largestMb) {
    const message = `the cassette holds ${sizeMb} MB of replies; at most ${largestMb} MB can be replayed`;
    problems.push({ code: 'DMAS_CFG_INVALID_VALUE', severity: 'error', message, at: place('replay'), fix: 'record fewer inputs' });
  }
  return { recording: { sha256: createHash('sha256').update(text).digest('hex'), text, entries }, problems };
}

interface Read {
  /** Absent when there are problems. */
  readonly entries?: readonly CassetteEntry[];
  readonly problems: readonly Problem[];
}

async function readOrProblems(file: string, at: At): Promise<Read> {
  try {
    return { entries: await readWholeCassette(file), problems: [] };
  } catch (error) {
    if (!(error instanceof DmasError)) throw error;
    return { problems: error.problems.map((problem) => ({ at, ...problem })) };
  }
}

/** Prompts are not looked up by; without them the tape is small enough to travel with the plan. */
const tapeText = (entries: readonly CassetteEntry[]): string =>
  cassetteText(
    mergeEntries(
      entries.map(({ id: _id, schemaVersion: _version, request: { content: _content, ...request }, ...rest }) =>
        sealEntry({ ...rest, request }),
      ),
    ),
  );

function noReplies(name: string, entries: readonly CassetteEntry[], at: At): Problem[] {
  const own = entries.filter((entry) => entry.kind === 'model' && entry.target === name);
  if (own.some((entry) => entry.reply.content !== undefined)) return [];
  const message =
    own.length === 0
      ? `the cassette holds nothing of model "${name}"`
      : `the cassette holds no replies of model "${name}": it was recorded with content: hash`;
  const fix = 'dmas-opt record scenario.yaml, with record: { content: replies }';
  return [{ code: 'DMAS_CASSETTE_NO_REPLIES', severity: 'error', message, at, fix }];
}

type At = NonNullable<Problem['at']>;

function optionProblems(name: string, options: unknown, at: At): Problem[] {
  const parsed = replayOptions.safeParse(options);
  if (parsed.success) return [];
  return parsed.error.issues.map((issue) => ({
    code: 'DMAS_CFG_INVALID_VALUE',
    severity: 'error',
    message: `options of the replayed model "${name}": ${[...issue.path.map(String), issue.message].join(': ')}`,
    at,
    allowed: Object.keys(replayOptions.shape),
  }));
}

const idleConcurrency = (name: string, at: At): Problem => ({
  code: 'DMAS_CFG_CONTRADICTION',
  severity: 'warning',
  message: `the limit on concurrency of model "${name}" has no effect where it is replayed: recorded replies know nothing of load`,
  at,
  fix: 'choose a profile for the replay, whose engine has queues of its own, or leave it: a live deployment keeps to it',
});
