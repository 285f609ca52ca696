import { fail } from '../../../compiler/contracts/index.ts';
import { ApiError, type ChatCall } from '../server/chat-request.ts';
import { parseReplies } from '../server/replies.ts';
import type { CallOptions } from './call-options.ts';
import { modelFileOf } from './model-file.ts';
import type { LlamaCppService } from './options.ts';
import { loadLlamaPackage, openLlama, type Token } from './peer.ts';
import { promptTokens, templatePrompt } from './prompt-tokens.ts';
import { randomModels } from './random-model.ts';
import { givenReply, ownReply, type ReplyPlan } from './reply-plan.ts';
import { createSlotEngine, type SlotEngine, type SlotRequest } from './slot-engine.ts';

/** A loaded model with its engine: what the server asks. */
export interface RunningModel {
  readonly engine: SlotEngine;
  promptOf(call: ChatCall): Token[];
  /** Throws an ApiError for a request it cannot take. */
  planReply(call: ChatCall, options: CallOptions, tokensIn: number): ReplyPlan;
  samplingOf(options: CallOptions, plan: ReplyPlan): Promise<SlotRequest['sampling']>;
  close(): Promise<void>;
}

/** Longest strings and lists of a model whose weights are random: it would never end them by itself. */
const boundsOfNonsense = { stringLength: 24, listLength: 2 };
const boundsOfSense = { stringLength: 4096, listLength: 256 };

/**
 * Loads the weights and opens a context with all its slots.
 *
 * @throws DmasError when the package is missing, the file is or cannot be loaded, or there is not enough memory
 */
export async function openModel(service: LlamaCppService): Promise<RunningModel> {
  const isRandom = service.weights in randomModels;
  const rules = parseReplies(service.replies);
  const modelPath = modelFileOf(service.weights, service.modelSeed);
  const module = await loadLlamaPackage();
  const llama = await openLlama(module, service.threads);
  const closing = (refuse: (cause: Error) => never) => async (cause: Error) => {
    await llama.dispose();
    return refuse(cause);
  };
  const model = await llama
    .loadModel({ modelPath })
    .catch(closing((cause) => fail('DMAS_FILE_UNREADABLE', `llama.cpp cannot load ${modelPath}: ${cause.message}`, { cause })));
  const { slots, contextTokens, batchTokens, threads, maxTokens } = service;
  const context = await model
    .createContext({ contextSize: contextTokens, sequences: slots, batchSize: batchTokens, threads, failedCreationRemedy: false })
    .catch(
      closing((cause) => {
        const message = `llama.cpp cannot open ${slots} slots of ${contextTokens} tokens: ${cause.message}`;
        return fail('DMAS_CFG_INVALID_VALUE', message, { cause, fix: 'Lower slots or contextTokens.' });
      }),
    );
  const wrapper = isRandom ? undefined : module.resolveChatWrapper(model);
  const engine = createSlotEngine(context, { slots, prefixReuse: service.prefixReuse });
  const isGiven = service.text === 'given' || (service.text === 'auto' && isRandom);
  const grammars = new Map<string, Awaited<ReturnType<typeof llama.createGrammarForJsonSchema>>>();
  return {
    engine,
    promptOf: (call) => (wrapper === undefined ? promptTokens(model, call) : templatePrompt(wrapper, model, call)),
    planReply: (call, options, tokensIn) => {
      const room = contextTokens - tokensIn;
      if (room < 1) {
        const message = `This model's maximum context length is ${contextTokens} tokens; the prompt has ${tokensIn} and needs room for a reply.`;
        throw new ApiError(400, 'context_length_exceeded', message, 'messages');
      }
      const limits = { room, maxTokens };
      if (isGiven) return givenReply(model, call, options, rules, limits);
      return ownReply(model, call, options, { chooses: !isRandom, bounds: isRandom ? boundsOfNonsense : boundsOfSense }, limits);
    },
    samplingOf: async (options, plan) => {
      const sampling = {
        temperature: plan.given ? 0 : (options.temperature ?? service.temperature),
        ...(options.topP === undefined ? {} : { topP: options.topP }),
        // Without a seed of its own the package takes the clock.
        seed: options.seed ?? 0,
      };
      if (plan.schema === undefined) return sampling;
      const key = JSON.stringify(plan.schema);
      let grammar = grammars.get(key);
      if (grammar === undefined) {
        grammar = await llama.createGrammarForJsonSchema(plan.schema).catch((error: Error) => {
          throw new ApiError(400, null, `no grammar can be made of the schema: ${error.message}`, 'response_format');
        });
        grammars.set(key, grammar);
      }
      return { ...sampling, grammarEvaluationState: new module.LlamaGrammarEvaluationState({ model, grammar }) };
    },
    close: async () => {
      await engine.stop();
      await llama.dispose();
    },
  };
}
