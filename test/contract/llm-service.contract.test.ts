import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { ChatModel, LlmBackendDescriptor } from '../../runtime/llm/backend.ts';
import { createLlamaCppServer, type LlamaCppServer } from '../../runtime/llm/llama-cpp/http-server.ts';
import { llamaCpp } from '../../runtime/llm/llama-cpp.ts';
import { replay } from '../../runtime/llm/replay.ts';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';
import { simulated } from '../../runtime/llm/simulated.ts';
import { urlOf } from '../runtime/llm/endpoints.ts';
import { hasLlama } from '../runtime/llm/llama-cpp/support.ts';
import { createStage } from '../runtime/replay/support.ts';
import { ask, askedOnce, askedTwice, cancelled, llmAnswers, saysTheSame, scriptedReplies, signal } from './llm-suite.ts';

/** What the units of a deployment have of it. */
async function connect(backend: LlmBackendDescriptor, url: string): Promise<ChatModel> {
  const model = { backend: backend.id, address: 'service://model-main', model: 'main', options: { retries: 0 } };
  return (await backend.load()).connect(model, url, undefined);
}

describe.skipIf(!hasLlama)('answers of llama.cpp itself', () => {
  let server: LlamaCppServer;
  let chatModel: ChatModel;
  beforeAll(async () => {
    server = await createLlamaCppServer('model-main', { model: 'main', replies: scriptedReplies });
    chatModel = await connect(llamaCpp, await urlOf(server.server));
  });
  afterAll(() => server.close(0));

  // Its slots keep every token, so that the header of any two prompts is found; the last token is never there.
  it.each(llmAnswers.map((answer) => [answer.name, answer] as const))('%s', (_name, { check }) =>
    check(chatModel, { cachedAtFirstMax: 15, cachedLostMax: 16 }),
  );
});

describe('answers from a tape', () => {
  const stage = createStage();
  const caching = { cachedAtFirstMax: 0, cachedLostMax: 15 };
  let chatModel: ChatModel;
  beforeAll(async () => {
    // Slow steps, so that the pieces of a stream are told apart on a busy machine too.
    const model = createModelServer('model-main', { models: ['main'], replies: scriptedReplies, stepFixedMs: 6 });
    const upstream = `${await urlOf(model.server)}/v1`;
    // Of several recordings of one moment the tape plays the one with the smallest id, and only one that was streamed knows when its
    // pieces came: so this question is recorded once, streamed, and anew where a busy machine let it come in one piece.
    const record = async () => {
      const begun = await stage.recorder(upstream, await stage.folder());
      const asked = await connect(simulated, begun.url);
      let pieces = 0;
      await asked.chat(ask(askedTwice), signal(), () => {
        pieces++;
      });
      return { begun, asked, pieces };
    };
    let recording = await record();
    for (let tries = 1; recording.pieces < 2 && tries < 10; tries++) {
      await recording.begun.close();
      recording = await record();
    }
    const { begun: recorder, asked: recorded } = recording;
    for (const { name, check } of llmAnswers) if (name !== saysTheSame) await check(recorded, caching);
    await recorded.chat(ask(askedOnce), signal());
    // What was cancelled is on no tape.
    await recorded.chat(ask(cancelled), signal());
    await recorder.close();
    await model.close(0);
    // A provider reports a cached prefix from 1024 tokens on; these prompts are shorter.
    const { urls } = await stage.replay(await readFile(recorder.file, 'utf8'), { model: { cacheMinTokens: 1 } });
    chatModel = await connect(replay, urls[0] ?? '');
  });
  afterAll(() => stage.close());

  it.each(llmAnswers.map((answer) => [answer.name, answer] as const))('%s', (_name, { check }) => check(chatModel, caching));
});
