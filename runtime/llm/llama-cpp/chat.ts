import type { ServerResponse } from 'node:http';
import { ApiError, type ChatCall } from '../server/chat-request.ts';
import { promptOf } from '../server/prompt.ts';
import { createAnswer } from './answer.ts';
import type { CallOptions } from './call-options.ts';
import type { LlamaMetrics } from './metrics.ts';
import type { RunningModel } from './model.ts';

export interface ChatServing {
  readonly model: RunningModel;
  readonly metrics: LlamaMetrics;
  readonly queueLimit: number;
}

/** Answers as the engine produces. Throws an ApiError when the request cannot be taken; later failures go to `onFailed`. */
export async function answerChat(
  { model, metrics, queueLimit }: ChatServing,
  call: ChatCall,
  options: CallOptions,
  response: ServerResponse,
  onFailed: (error: unknown) => void,
): Promise<void> {
  const prompt = model.promptOf(call);
  const plan = model.planReply(call, options, prompt.length);
  if (model.engine.stats().waiting >= queueLimit) {
    throw new ApiError(429, 'rate_limit_exceeded', `${queueLimit} requests are waiting already.`);
  }
  const sampling = await model.samplingOf(options, plan);
  if (response.destroyed) return;
  const answer = createAnswer(`chatcmpl-${promptOf(call).hash.slice(0, 24)}`, call, response);
  let queuedMs = 0;
  const { cancel } = model.engine.submit({
    prompt,
    tokensOut: plan.tokensOut,
    ...(plan.given === undefined ? {} : { given: plan.given }),
    sampling,
    onAdmitted: (times) => {
      queuedMs = times.queuedMs;
    },
    onToken: (token, index) => {
      if (index === 0) answer.begin(queuedMs);
      const piece = plan.read(token, index);
      if (piece === undefined) return 'before';
      if (piece !== '') answer.text(piece);
      return plan.isOver() ? 'after' : 'not yet';
    },
    onFinished: (timings) => {
      const end = plan.finish();
      metrics.finished(timings, prompt.length, end.finish === 'length' ? 'length' : 'stop');
      answer.end({ ...end, tokensIn: prompt.length, timings });
    },
    onFailed,
  });
  response.once('close', cancel);
}
