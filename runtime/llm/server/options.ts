import { z } from 'zod';
import { fail, type Json } from '../../../compiler/contracts/index.ts';
import { type EngineSetup, engineOf } from '../engine/options.ts';
import { routers } from '../engine/step-time.ts';

const time = (text: string) => z.number().nonnegative().optional().describe(text);
const count = (text: string) => z.int().positive().optional().describe(text);
const flag = (text: string) => z.boolean().optional().describe(text);

/** Hardware and batching of one engine; what is left out comes from the profile (see `engineOf`). */
export const engineOptions = {
  gpu: z.string().optional().describe('Kind of GPU, where it is not the profile’s; what prices.gpuHourUsd is looked up by'),
  tensorParallelSize: count('GPUs that share each layer; default 1'),
  dataParallelSize: count('Ranks with a batch and a KV cache of their own; default 1'),
  expertParallel: flag('Experts are spread over all ranks, which step together; default false'),
  maxNumSeqs: count('Most sequences in the running batch'),
  maxNumBatchedTokens: count('Most tokens computed in one step'),
  blockSize: count('Tokens per block of KV cache; default 16'),
  kvBlocks: count('Blocks of KV cache per rank; default: what fits the GPU’s memory'),
  gpuMemoryUtilization: z.number().positive().max(1).optional().describe('Share of a GPU’s memory the engine may use; default 0.9'),
  prefixCaching: flag('Blocks of prompts seen before are not computed again; default true'),
  prefixLifetimeMs: time('A prefix nobody used for this long is forgotten; default: only when its room is needed'),
  asyncScheduling: flag('The next step is planned while one is computed; default true with a GPU, false for generic-small'),
  stepFixedMs: time('generic-small: time every engine step takes'),
  prefillMsPerToken: time('generic-small: time per prompt token computed'),
  decodeMsPerSequence: time('generic-small: time per sequence and step'),
  contextMsPerToken: time('generic-small: time per token of context and step'),
  maxBatchedTokens: count('generic-small: older name of maxNumBatchedTokens'),
  kvTokens: count('generic-small: tokens of KV cache'),
  prefixCacheTokens: z.int().nonnegative().optional().describe('generic-small: 0 turns prefix caching off'),
} as const;

const queueLimit = z.int().positive().default(1024).describe('Requests that may wait, per engine replica; beyond it callers get 429');
const tokensPerChunk = z.int().positive().default(5).describe('Tokens per chunk of a streamed reply');
const retries = z.int().nonnegative().default(2).describe('How often a call is repeated after 429, 5xx and broken connections');
export const servingOptions = { queueLimit, tokensPerChunk, retries } as const;

/** What a scenario may set under `models.<name>.options` for the simulated model. */
export const simulatedOptions = z.strictObject({
  profile: z
    .string()
    .default('generic-small')
    .describe('Hardware profile: generic-small, a shipped one, estimate (needs gpu), or a JSON file'),
  ...engineOptions,
  engineReplicas: count('Engines of the pool, where serving.replicas does not say it; default 1'),
  router: z.enum(routers).optional().describe('How requests are spread over the replicas; default least-outstanding'),
  coldStartMs: time('From the start of the server to its first reply; default 0'),
  ...servingOptions,
});

export interface ServiceOptions {
  readonly setup: EngineSetup;
  /** Over all replicas. */
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
  // A profile from a file comes as its content, already checked.
  const own = simulatedOptions.safeParse(typeof given.profile === 'object' ? { ...given, profile: undefined } : given);
  if (!own.success) {
    const lines = own.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    return fail('DMAS_CFG_INVALID_VALUE', lines.join('\n'), { fix: 'See docs/models.md for the options of the simulated model.' });
  }
  const names = [options.model, options.models].flat().filter((name) => typeof name === 'string');
  const { queueLimit: perReplica, tokensPerChunk: perChunk } = own.data;
  const setup = setupOf({ ...given, ...(names[0] === undefined ? {} : { model: names[0] }) });
  return { setup, queueLimit: perReplica * setup.replicas, tokensPerChunk: perChunk, models: names, replies: options.replies };
}

/** @throws DmasError DMAS_CFG_INVALID_VALUE for options that cannot work, or a model that does not fit the GPU */
export function setupOf(options: { readonly [option: string]: Json }): EngineSetup {
  let setup: EngineSetup;
  try {
    setup = engineOf(options);
  } catch (error) {
    return fail('DMAS_CFG_INVALID_VALUE', (error as Error).message, { cause: error });
  }
  if (setup.fits === true) return setup;
  const { needsGb, hasGb } = setup.fits;
  const message = `${setup.profile} needs ${needsGb.toFixed(1)} GB of each GPU before any KV cache, ${setup.gpu ?? 'it'} has ${hasGb.toFixed(1)} GB for it`;
  return fail('DMAS_CFG_INVALID_VALUE', message, { fix: 'Raise tensorParallelSize, or choose a GPU with more memory.' });
}
