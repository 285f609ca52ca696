import { defineLlmBackend } from './backend.ts';
import { simulatedOptions } from './server/options.ts';

/** A model that costs nothing: scripted or generated replies, timed by a batch-serving engine. Deployed with the plan. */
export const simulated = defineLlmBackend({
  id: 'simulated',
  title: 'Simulated model',
  options: simulatedOptions,
  traits: { deployed: true, provenance: 'simulated' },
  load: async () => {
    const { createOpenAiModel } = await import('./openai-client.ts');
    return {
      connect: (model, baseUrl, key) => {
        const { retries } = simulatedOptions.pick({ retries: true }).parse({ retries: model.options.retries });
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
