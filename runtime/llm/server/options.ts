import { z } from 'zod';
import { fail, type Json } from '../../../compiler/contracts/index.ts';
import { type EngineSetup, engineOf } from '../engine/options.ts';
import { genericSmall } from '../engine/params.ts';

const time = (value: number, text: string) => z.number().nonnegative().default(value).describe(text);
const count = (value: number, text: string) => z.int().positive().default(value).describe(text);

/** What a scenario may set under `models.<name>.options` for the simulated model; defaults are `generic-small`. */
export const simulatedOptions = z.strictObject({
  profile: z.enum(['generic-small']).default('generic-small').describe('Named set of engine parameters'),
  stepFixedMs: time(genericSmall.stepFixedMs, 'Time every engine step takes'),
  prefillMsPerToken: time(genericSmall.prefillMsPerToken, 'Time per prompt token computed'),
  decodeMsPerSequence: time(genericSmall.decodeMsPerSequence, 'Time per sequence and step'),
  contextMsPerToken: time(genericSmall.contextMsPerToken, 'Time per token of context and step'),
  maxNumSeqs: count(genericSmall.maxNumSeqs, 'Most sequences in the running batch'),
  maxBatchedTokens: count(genericSmall.maxBatchedTokens, 'Most tokens computed in one step'),
  kvTokens: count(genericSmall.kvTokens, 'Tokens of KV cache'),
  prefixCacheTokens: z
    .int()
    .nonnegative()
    .default(genericSmall.prefixCacheTokens)
    .describe('Tokens of prompt prefixes kept; 0 turns it off'),
  queueLimit: count(1024, 'Requests that may wait; beyond it callers get 429'),
  tokensPerChunk: count(5, 'Tokens per chunk of a streamed reply'),
  retries: z.int().nonnegative().default(2).describe('How often a call is repeated after 429, 5xx and broken connections'),
});

export interface ServiceOptions {
  readonly engine: EngineSetup;
  /** Of prompt prefixes kept for reuse. */
  readonly prefixCacheTokens: number;
  readonly queueLimit: number;
  readonly tokensPerChunk: number;
  /** Names the server answers to; empty: any. */
  readonly models: readonly string[];
  readonly replies: Json | undefined;
}

const ownKeys = new Set(Object.keys(simulatedOptions.shape));

/** Options of the planned service: the scenario's, with `model` or `models` (names served) and `replies`. Others are left alone. */
export function readServiceOptions(options: { readonly [option: string]: Json }): ServiceOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([key]) => ownKeys.has(key)));
  const own = simulatedOptions.safeParse(given);
  if (!own.success) {
    const lines = own.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    return fail('DMAS_CFG_INVALID_VALUE', lines.join('\n'), { fix: 'See docs/models.md for the options of the simulated model.' });
  }
  const names = [options.model, options.models].flat().filter((name) => typeof name === 'string');
  const { queueLimit, tokensPerChunk } = own.data;
  try {
    return {
      engine: engineOf(given),
      prefixCacheTokens: own.data.prefixCacheTokens,
      queueLimit,
      tokensPerChunk,
      models: names,
      replies: options.replies,
    };
  } catch (error) {
    return fail('DMAS_CFG_INVALID_VALUE', (error as Error).message, { cause: error });
  }
}
