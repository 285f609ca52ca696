import { readFile } from 'node:fs/promises';
import { DmasError, didYouMean, fail, type Problem } from '../../../compiler/contracts/index.ts';
import type { TimedRequest } from '../../../profiler/engine/fit-timeline.ts';
import { checkEngineArgs } from '../../../runtime/llm/engine/engine.ts';
import type { EngineArgs } from '../../../runtime/llm/engine/step-time.ts';

type Value = number | boolean;
type Given = { -readonly [name in keyof EngineArgs]?: Value };

/** vLLM’s own words, with dashes or underscores, and ours. */
const words: { readonly [word: string]: keyof EngineArgs } = {
  max_num_seqs: 'maxNumSeqs',
  max_num_batched_tokens: 'maxNumBatchedTokens',
  block_size: 'blockSize',
  num_gpu_blocks: 'kvBlocks',
  kv_blocks: 'kvBlocks',
  enable_prefix_caching: 'prefixCaching',
  prefix_caching: 'prefixCaching',
  tensor_parallel_size: 'tensorParallelSize',
  data_parallel_size: 'dataParallelSize',
  enable_expert_parallel: 'expertParallel',
  expert_parallel: 'expertParallel',
  async_scheduling: 'asyncScheduling',
};

/**
 * Engine arguments a log was made with: `name=value`, or a JSON file such as the `meta.json` of a run. What is not given is
 * vLLM’s default; KV blocks that are not given are enough for what the log shows at a time.
 */
export async function engineArgsOf(texts: readonly string[], requests: readonly TimedRequest[]): Promise<EngineArgs> {
  const given: Given = {};
  for (const text of texts) {
    if (!text.includes('=')) Object.assign(given, await fromFile(text));
    else {
      const problems: Problem[] = [];
      for (const pair of text.split(',')) {
        const [word = '', value = ''] = pair.split('=').map((part) => part.trim());
        const name = words[snake(word)];
        const read = value === 'true' ? true : value === 'false' ? false : value === '' ? Number.NaN : Number(value);
        if (!name) problems.push({ ...problem(`there is no engine argument ${word}`), ...nearest(word) });
        else if (Number.isNaN(read)) problems.push(problem(`${word} is "${value}", not a number, true or false`));
        else given[name] = read;
      }
      if (problems.length > 0) throw new DmasError(problems);
    }
  }
  const args = {
    maxNumSeqs: 256,
    maxNumBatchedTokens: 2048,
    blockSize: 16,
    prefixCaching: true,
    tensorParallelSize: 1,
    dataParallelSize: 1,
    expertParallel: false,
    asyncScheduling: true,
    ...given,
  } as EngineArgs;
  const whole = { ...args, kvBlocks: args.kvBlocks ?? enoughBlocks(requests, args.blockSize) };
  try {
    checkEngineArgs(whole);
  } catch (error) {
    fail('DMAS_CLI_USAGE', `engine arguments: ${(error as Error).message}`, { cause: error });
  }
  return whole;
}

const snake = (word: string) =>
  word
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/^-+/, '')
    .replace(/-/g, '_');
const problem = (message: string): Problem => ({ code: 'DMAS_CLI_USAGE', severity: 'error', message });
const nearest = (word: string) => {
  const meant = didYouMean(snake(word), Object.keys(words));
  return { allowed: Object.keys(words), ...(meant === undefined ? {} : { didYouMean: meant }) };
};

async function fromFile(path: string): Promise<Given> {
  const text = await readFile(path, 'utf8').catch((cause: Error) =>
    fail('DMAS_FILE_UNREADABLE', `${path} cannot be read`, { cause, fix: 'Give name=value, or a JSON file of engine arguments.' }),
  );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return fail('DMAS_ENGINE_FILE', `${path} is no JSON`, { cause });
  }
  const { engine_kwargs = {}, kv_cache = {}, resolved_config = {}, ...top } = (json ?? {}) as { [key: string]: object };
  const scheduler = (resolved_config as { scheduler_config?: object }).scheduler_config ?? {};
  const given: Given = {};
  for (const source of [scheduler, kv_cache, top, engine_kwargs])
    for (const [word, value] of Object.entries(source ?? {})) {
      const name = words[snake(word)];
      if (name && (typeof value === 'number' || typeof value === 'boolean')) given[name] = value;
    }
  return given;
}

/** Blocks of all requests that were running at the busiest moment. */
function enoughBlocks(requests: readonly TimedRequest[], blockSize: number): number {
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
