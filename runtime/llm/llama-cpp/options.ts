import { z } from 'zod';
import { fail, type Json } from '../../../compiler/contracts/index.ts';

const count = (value: number, text: string) => z.int().positive().default(value).describe(text);

/** What a scenario may set under `models.<name>.options` for llama.cpp. */
export const llamaCppOptions = z.strictObject({
  weights: z
    .string()
    .min(1)
    .default('random-8m')
    .describe('Path of a GGUF file, or random-8m or random-98m: written by us, with weights drawn from modelSeed'),
  modelSeed: z.int().nonnegative().default(1).describe('Seed of the weights of a random model'),
  text: z
    .enum(['auto', 'given', 'model'])
    .default('auto')
    .describe(
      'given: the reply a simulated model would give (script or made up) is put through the model token by token; model: what the model says; auto: given for random weights, else model',
    ),
  // `LLAMA_MAX_SEQ` in llama.cpp's `src/llama-cparams.h`.
  slots: z.int().positive().max(256).default(4).describe('Sequences computed at the same time, each with a context of its own'),
  // Far beyond any machine's memory node-llama-cpp does not come back from estimating it.
  contextTokens: z.int().positive().max(1_048_576).default(4096).describe('Tokens of context per slot, prompt and reply together'),
  batchTokens: count(512, 'Most tokens computed in one step'),
  threads: count(1, 'Threads that compute'),
  maxTokens: count(256, 'Longest reply where a request sets no limit'),
  temperature: z.number().nonnegative().max(2).default(0).describe('Where a request sets none; 0 takes the likeliest token'),
  prefixReuse: z.boolean().default(true).describe('Keep the context of a slot and compute only what differs from it'),
  queueLimit: count(1024, 'Requests that may wait; beyond it callers get 429'),
  retries: z.int().nonnegative().default(2).describe('How often a call is repeated after 429, 5xx and broken connections'),
});
export type LlamaCppOptions = z.output<typeof llamaCppOptions>;

export interface LlamaCppService extends LlamaCppOptions {
  /** Names the server answers to; empty: any. */
  readonly names: readonly string[];
  readonly replies: Json | undefined;
}

/** The words of other engines for the same thing, as a search over serving may set them. */
const synonyms: Readonly<Record<string, keyof LlamaCppOptions>> = { maxNumSeqs: 'slots', maxNumBatchedTokens: 'batchTokens' };

/**
 * Options of the planned service: the scenario's, with `model` or `models` (names served) and `replies`. Others are left alone.
 *
 * @throws DmasError `DMAS_CFG_INVALID_VALUE`
 */
export function readLlamaCppService(options: { readonly [option: string]: Json }): LlamaCppService {
  const own = new Set(Object.keys(llamaCppOptions.shape));
  const named = Object.entries(options).map(([key, value]) => [synonyms[key] ?? key, value] as const);
  const parsed = llamaCppOptions.safeParse(Object.fromEntries(named.filter(([key]) => own.has(key))));
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    return fail('DMAS_CFG_INVALID_VALUE', lines.join('\n'), { fix: 'See docs/llama-cpp.md for the options of llama.cpp.' });
  }
  if (parsed.data.batchTokens < parsed.data.slots) {
    return fail('DMAS_CFG_INVALID_VALUE', `batchTokens: ${parsed.data.batchTokens} is less than slots: ${parsed.data.slots}`, {
      fix: 'Every slot needs room for one token in a step.',
    });
  }
  const names = [options.model, options.models].flat().filter((name) => typeof name === 'string');
  return { ...parsed.data, names, replies: options.replies };
}
