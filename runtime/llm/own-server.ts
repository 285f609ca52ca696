import type { LlmBackend } from './backend.ts';
import { createOpenAiModel } from './openai-client.ts';
import { simulatedOptions } from './server/options.ts';

const ownOptions = simulatedOptions.pick({ retries: true });

/** The units' side of every model server that is a service of the plan: it speaks what OpenAI's API speaks, under `/v1`. */
export const ownServer: LlmBackend = {
  connect(model, baseUrl, key) {
    const { retries } = ownOptions.parse({ retries: model.options.retries });
    const url = new URL(baseUrl);
    if (url.pathname === '/') url.pathname = '/v1';
    return createOpenAiModel({
      baseUrl: url.href,
      model: model.model,
      key,
      retries,
      connections: 1024,
      // It is deployed with the units and ends with them; how long its queue is, is what is measured.
      stallTimeoutMs: 0,
      maxTokensParameter: 'max_completion_tokens',
    });
  },
};
