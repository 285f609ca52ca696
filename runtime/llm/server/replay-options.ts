import { z } from 'zod';
import { fail, type Json } from '../../../compiler/contracts/index.ts';
import { type EngineSetup, engineOf } from '../engine/options.ts';
import { engineOptions, servingOptions, setupOf } from './options.ts';

/**
 * OpenAI's documentation of prompt caching: prefixes stay for five to ten minutes without use (the shorter one is taken) and
 * are cached from 1024 tokens on (https://platform.openai.com/docs/guides/prompt-caching).
 */
export const providerCache = { lifetimeMs: 300_000, minTokens: 1024 } as const;

/** What a scenario may set under `replay.options`, or under `models.<name>.options` with `backend: replay`. */
export const replayOptions = z.strictObject({
  ...engineOptions,
  ...servingOptions,
  cassette: z.string().default('').describe('File of recorded replies; default: replay.cassette'),
  profile: z
    .string()
    .default('recorded')
    .describe('Times: recorded ones without their waiting, or those of a serving engine with this hardware profile'),
  onMiss: z
    .enum(['fail', 'simulate'])
    .default('fail')
    .describe('A question nobody recorded fails, or gets a made-up reply; counted either way'),
  affinity: z
    .enum(['none', 'session'])
    .default('none')
    .describe('Which replica is asked: the less busy of two, or always the same one for a session'),
  cacheLifetimeMs: z
    .int()
    .min(-1)
    .default(-1)
    .describe('How long an unused prompt prefix stays cached; 0: until room is needed; -1: 300000 with recorded times, 0 with an engine'),
  cacheMinTokens: z
    .int()
    .min(-1)
    .default(-1)
    .describe('Shortest prefix that counts as cached; -1: 1024 with recorded times, 0 with an engine'),
});

export interface ReplayServiceOptions {
  /** Logical name: what the tape knows it by. */
  readonly target: string;
  readonly model: string;
  /** Null for recorded times. */
  readonly engine: EngineSetup | null;
  readonly onMiss: 'fail' | 'simulate';
  readonly queueLimit: number;
  readonly tokensPerChunk: number;
  readonly cache: { readonly capacityTokens: number; readonly lifetimeMs: number; readonly minTokens: number };
  readonly ignore: readonly string[];
}

const ownKeys = new Set(Object.keys(replayOptions.shape));

/** Options of the planned service: the scenario's, with `target`, `model` and `ignore`. @throws DmasError DMAS_CFG_INVALID_VALUE */
export function readReplayOptions(options: { readonly [option: string]: Json }): ReplayServiceOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([key]) => ownKeys.has(key)));
  const own = replayOptions.safeParse(given);
  if (!own.success) {
    const lines = own.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    return fail('DMAS_CFG_INVALID_VALUE', lines.join('\n'), { fix: 'See docs/replay.md for the options of a replay.' });
  }
  const { profile, onMiss, queueLimit, tokensPerChunk, cacheLifetimeMs, cacheMinTokens } = own.data;
  const recorded = profile === 'recorded';
  const engine = recorded ? null : setupOf({ ...given, profile, ...(typeof options.model === 'string' ? { model: options.model } : {}) });
  const target = typeof options.target === 'string' ? options.target : 'main';
  return {
    target,
    model: typeof options.model === 'string' ? options.model : target,
    engine,
    onMiss,
    queueLimit,
    tokensPerChunk,
    cache: {
      // A provider's cache is as large as it says nowhere; what bounds it is its lifetime.
      capacityTokens: own.data.prefixCacheTokens ?? (engine === null ? Number.MAX_SAFE_INTEGER : engineCacheTokens(engine)),
      lifetimeMs: cacheLifetimeMs >= 0 ? cacheLifetimeMs : recorded ? providerCache.lifetimeMs : 0,
      minTokens: cacheMinTokens >= 0 ? cacheMinTokens : recorded ? providerCache.minTokens : 0,
    },
    ignore: Array.isArray(options.ignore) ? options.ignore.filter((name): name is string => typeof name === 'string') : [],
  };
}

const engineCacheTokens = ({ args }: EngineSetup) => (args.prefixCaching ? args.kvBlocks * args.blockSize : 0);

/** Of replies nobody recorded, where no engine was chosen. */
export const syntheticEngine: EngineSetup = engineOf({});
