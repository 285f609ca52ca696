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
  slots: count(4, 'Sequences computed at the same time, each with a context of its own'),
  contextTokens: count(4096, 'Tokens of context per slot, prompt and reply together'),
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

/**
 * Options of the planned service: the scenario's, with `model` or `models` (names served) and `replies`. Others are left alone.
 *
 * @throws DmasError `DMAS_CFG_INVALID_VALUE`
 */
export function readLlamaCppService(options: { readonly [option: string]: Json }): LlamaCppService {
  const own = new Set(Object.keys(llamaCppOptions.shape));
  const parsed = llamaCppOptions.safeParse(Object.fromEntries(Object.entries(options).filter(([key]) => own.has(key))));
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
