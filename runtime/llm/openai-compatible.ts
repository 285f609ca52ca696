import { z } from 'zod';
import { defineLlmBackend } from './backend.ts';
import { stallTimeoutMs } from './silence.ts';

const options = z.strictObject({
  retries: z.int().nonnegative().default(2).describe('How often a call is repeated after 429, 5xx and broken connections'),
  connections: z.int().positive().default(256).describe('Most connections per process; calls beyond them wait'),
  maxTokensParameter: z
    .enum(['max_completion_tokens', 'max_tokens'])
    .default('max_completion_tokens')
    .describe('Name of the limit on reply tokens; some older servers only know `max_tokens`'),
  stallTimeoutMs: z
    .int()
    .nonnegative()
    .default(stallTimeoutMs)
    .describe('A streamed reply on which nothing comes for so long is given up, and repeated if nothing was passed on; 0: never'),
  temperature: z.number().max(2).default(-1).describe('Below 0 it is not sent and the endpoint decides'),
});

/** Any endpoint that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, LiteLLM. */
export const openaiCompatible = defineLlmBackend({
  id: 'openai-compatible',
  title: 'OpenAI-compatible endpoint',
  options,
  traits: { deployed: false, provenance: 'measured' },
  load: async () => {
    const { createOpenAiModel } = await import('./openai-client.ts');
    return {
      connect: (model, baseUrl, key) => {
        const { temperature, ...settings } = options.parse(model.options);
        const extra = temperature < 0 ? {} : { extra: { temperature } };
        return createOpenAiModel({ baseUrl, model: model.model, key, ...settings, ...extra });
      },
    };
  },
});
