import { z } from 'zod';
import { ApiError } from '../server/chat-request.ts';

const extras = z.object({
  temperature: z.number().nonnegative().nullish(),
  top_p: z.number().positive().max(1).nullish(),
  seed: z.int().nullish(),
  ignore_eos: z.boolean().nullish(),
  min_tokens: z.int().nonnegative().nullish(),
});

/** What a chat completion may say of sampling and length beside what every server of ours reads. */
export interface CallOptions {
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly seed: number | undefined;
  /** The reply is as long as the limit says, whatever it holds. The parameter of vLLM and of llama.cpp's server. */
  readonly ignoreEnd: boolean;
  /** The reply is at least so long. The parameter of vLLM. */
  readonly minTokens: number;
}

/** Throws an ApiError 400 that names the parameter. `body` is known to be JSON. */
export function parseCallOptions(body: string): CallOptions {
  const parsed = extras.safeParse(JSON.parse(body));
  if (!parsed.success) {
    const param = parsed.error.issues[0]?.path.join('.') ?? null;
    throw new ApiError(400, 'invalid_value', `${param ?? 'body'}: ${parsed.error.issues[0]?.message ?? 'invalid'}`, param);
  }
  const { temperature, top_p, seed, ignore_eos, min_tokens } = parsed.data;
  return {
    temperature: temperature ?? undefined,
    topP: top_p ?? undefined,
    seed: seed ?? undefined,
    ignoreEnd: ignore_eos ?? false,
    minTokens: min_tokens ?? 0,
  };
}
