import { DmasError, didYouMean, fail, type Problem } from '../../compiler/contracts/index.ts';
import { checkEngineArgs } from '../../runtime/llm/engine/engine.ts';
import type { EngineArgs } from '../../runtime/llm/engine/step-time.ts';
import type { TimedRequest } from './fit-timeline.ts';
import type { TableFile } from './operator-timings.ts';

/** What is said of an engine; the rest is left to defaults. */
export type GivenArgs = { readonly [name in keyof EngineArgs]?: EngineArgs[name] };

/** vLLM’s own words, with dashes or underscores; ours are the same in camelCase, and `kvBlocks`. */
const words: { readonly [word: string]: keyof EngineArgs } = {
  max_num_seqs: 'maxNumSeqs',
  max_num_batched_tokens: 'maxNumBatchedTokens',
  block_size: 'blockSize',
  num_gpu_blocks: 'kvBlocks',
  kv_blocks: 'kvBlocks',
  enable_prefix_caching: 'prefixCaching',
  prefix_caching: 'prefixCaching',
  prefix_lifetime_ms: 'prefixLifetimeMs',
  tensor_parallel_size: 'tensorParallelSize',
  data_parallel_size: 'dataParallelSize',
  enable_expert_parallel: 'expertParallel',
  expert_parallel: 'expertParallel',
  async_scheduling: 'asyncScheduling',
};
const flags: ReadonlySet<string> = new Set(['prefixCaching', 'expertParallel', 'asyncScheduling']);

/** Those of vLLM 0.19. */
const defaults = {
  maxNumSeqs: 256,
  maxNumBatchedTokens: 2048,
  blockSize: 16,
  prefixCaching: true,
  tensorParallelSize: 1,
  dataParallelSize: 1,
  expertParallel: false,
  asyncScheduling: true,
} as const;

/**
 * `name=value,…` as engine arguments. Names in `more` are allowed beside them, with values of any kind, and come back as they
 * are. All that is wrong is told at once.
 *
 * @throws DmasError DMAS_CLI_USAGE
 */
export function readEngineWords(text: string, more: readonly string[] = []): GivenArgs & { readonly [name: string]: unknown } {
  const given: { [name: string]: unknown } = {};
  const problems: Problem[] = [];
  const wrong = (message: string, rest: Partial<Problem> = {}) =>
    problems.push({ code: 'DMAS_CLI_USAGE', severity: 'error', message: `--engine-args: ${message}`, ...rest });
  for (const pair of text.split(',')) {
    const [word = '', value = ''] = pair.split('=').map((part) => part.trim());
    const name = words[snake(word)] ?? more.find((each) => snake(each) === snake(word));
    if (word === '' || value === '')
      wrong(`"${pair}" is not name=value`, { fix: 'For example --engine-args maxNumSeqs=64,kvBlocks=2588, or the meta.json of the run.' });
    else if (name === undefined) wrong(`there is no engine argument ${word}`, nearest(word, more));
    else if (more.includes(name)) given[name] = parsed(value);
    else if (typeof parsed(value) !== (flags.has(name) ? 'boolean' : 'number'))
      wrong(`${word} is "${value}"`, { fix: flags.has(name) ? 'Give true or false.' : 'Give a number.' });
    else given[name] = inOurTerms(snake(word), parsed(value));
  }
  if (problems.length > 0) throw new DmasError(problems);
  return given;
}

/**
 * Engine arguments in a run’s `meta.json`: `engine_kwargs`, then names at the top, then what was resolved and logged. What is
 * null there is not given.
 *
 * @throws DmasError DMAS_ENGINE_FILE naming the file and each value that cannot be
 */
export function readEngineMeta({ path }: Pick<TableFile, 'path'>, meta: Fields): GivenArgs {
  const given: { [name: string]: unknown } = {};
  const problems: Problem[] = [];
  const sources: readonly (readonly [string, Fields | undefined])[] = [
    ['resolved_config.scheduler_config.', fieldsAt(fieldsAt(meta, 'resolved_config') ?? {}, 'scheduler_config')],
    ['kv_cache.', fieldsAt(meta, 'kv_cache')],
    ['', meta],
    ['engine_kwargs.', fieldsAt(meta, 'engine_kwargs')],
  ];
  for (const [prefix, source] of sources)
    for (const [word, value] of Object.entries(source ?? {})) {
      const name = words[snake(word)];
      if (name === undefined || value === null) continue;
      if (flags.has(name) ? typeof value === 'boolean' : Number.isInteger(value) && (value as number) >= 1) {
        // Off where it was asked for or turned off by the engine.
        given[name] = name === 'prefixCaching' ? given[name] !== false && value : inOurTerms(snake(word), value);
      } else
        problems.push({
          code: 'DMAS_ENGINE_FILE',
          severity: 'error',
          message: `${path}: ${prefix}${word} is ${JSON.stringify(value)}`,
          fix: flags.has(name) ? 'Give true or false.' : 'Give a whole number of at least 1.',
        });
    }
  if (problems.length > 0) throw new DmasError(problems);
  return given;
}

/**
 * Engine arguments with what was not given as vLLM has it, and KV blocks from `kvBlocksOf` where they were not.
 *
 * @throws DmasError `code` for arguments that cannot be together
 */
export function completeArgs(
  given: GivenArgs,
  kvBlocksOf: (args: Omit<EngineArgs, 'kvBlocks'>) => number,
  code: 'DMAS_CLI_USAGE' | 'DMAS_ENGINE_FILE',
): EngineArgs {
  const maxNumSeqs = given.maxNumSeqs ?? defaults.maxNumSeqs;
  const args = { ...defaults, maxNumBatchedTokens: Math.max(defaults.maxNumBatchedTokens, maxNumSeqs), ...given };
  try {
    // Whatever the size of the cache is, the rest must hold before it can be computed.
    checkEngineArgs({ ...args, kvBlocks: 1 });
    const whole = { ...args, kvBlocks: given.kvBlocks ?? kvBlocksOf(args) };
    checkEngineArgs(whole);
    return whole;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail(code, `engine arguments: ${error.message}`, { cause: error, fix: 'See docs/engine.md for engine arguments.' });
  }
}

/** Blocks of all requests that were running at the busiest moment, and of the longest alone. */
export function blocksSeen(requests: readonly TimedRequest[], blockSize: number): number {
  const blocks = ({ tokensIn, tokensOut }: TimedRequest) => Math.ceil((tokensIn + tokensOut) / blockSize);
  const marks = requests.flatMap((request) => [
    { ms: request.scheduledMs, by: blocks(request) },
    { ms: request.lastTokenMs, by: -blocks(request) },
  ]);
  let now = 0;
  let most = 0;
  for (const { by } of marks.sort((a, b) => a.ms - b.ms || b.by - a.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return Math.max(most, Math.max(...requests.map(blocks)));
}

export type Fields = { readonly [name: string]: unknown };

/** The object a JSON file holds. @throws DmasError DMAS_ENGINE_FILE */
export function readFields({ path, text }: TableFile): Fields {
  const fix = 'The file must hold one JSON object.';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail('DMAS_ENGINE_FILE', `${path}: not JSON: ${(cause as Error).message}`, { fix, cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  return fail('DMAS_ENGINE_FILE', `${path}: not a JSON object`, { fix });
}

export function fieldsAt(of: Fields, name: string): Fields | undefined {
  const value = of[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

/** vLLM counts one block that it keeps aside as the null block. */
const inOurTerms = (word: string, value: unknown) => (word === 'num_gpu_blocks' && typeof value === 'number' ? value - 1 : value);

const parsed = (text: string) => (text === 'true' ? true : text === 'false' ? false : Number.isNaN(Number(text)) ? text : Number(text));

const snake = (word: string) =>
  word
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/^-+/, '')
    .replace(/-/g, '_');

function nearest(word: string, more: readonly string[]): Partial<Problem> {
  const allowed = [...Object.keys(words), ...more.map(snake)];
  const meant = didYouMean(snake(word), allowed);
  return { allowed, ...(meant === undefined ? {} : { didYouMean: meant }) };
}
