import { defineLlmBackend } from './backend.ts';
import { replayOptions } from './server/replay-options.ts';

/** Recorded replies of a model, with waiting, quotas and prefix caches recomputed for the layout. Deployed with the plan. */
export const replay = defineLlmBackend({
  id: 'replay',
  title: 'Replay of recorded replies',
  options: replayOptions,
  traits: { deployed: true, provenance: 'replayed' },
  load: async () => {
    const { createOpenAiModel } = await import('./openai-client.ts');
    return {
      connect: (model, baseUrl, key) => {
        const { retries } = replayOptions.pick({ retries: true }).parse({ retries: model.options.retries });
        const url = new URL(baseUrl);
        if (url.pathname === '/') url.pathname = '/v1';
        return createOpenAiModel({
          baseUrl: url.href,
          model: model.model,
          key,
          retries,
          connections: 1024,
          maxTokensParameter: 'max_completion_tokens',
        });
      },
    };
  },
});
