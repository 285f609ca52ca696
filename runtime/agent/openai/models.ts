import { SpanKind } from '@opentelemetry/api';
import { CallError, toCallError } from '../../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../../compiler/contracts/trace-attributes.ts';
import { defaultModel, modelName } from '../../../compiler/frontends/openai-agents/agents.ts';
import type { Sdk, SdkModel, SdkModelRequest, SdkModelResponse } from '../../../compiler/frontends/openai-agents/sdk.ts';
import { hop } from '../hop.ts';
import { endSpan } from '../tracing.ts';
import { type Passing, standInOf } from './application.ts';
import { chatRequestOf, lastText, messageItem, outputItemsOf } from './items.ts';
import type { SdkTurn } from './turn.ts';

/** What agents say to each other when one runs another. */
export interface PassedOn {
  readonly passing: Passing;
  /** History items of the SDK, or a text. */
  readonly input: unknown;
  /** The run's context, as JSON. */
  readonly context: unknown;
  /** Turns the conversation may still take. */
  readonly maxTurns: number | undefined;
}

export interface PassedBack {
  readonly output: unknown;
  /** Component that gave the output: the agent asked, or one it handed to. */
  readonly agent: string;
  /** The output as the model wrote it. */
  readonly text: string;
}

/** The models of one turn by the names its agents have them under: bound by the scenario, or stand-ins for other agents. */
export const modelProvider = (turn: SdkTurn, sdk: Sdk) => ({
  getModel: (name?: string): SdkModel => {
    const other = standInOf(name ?? '');
    return other === undefined ? boundModel(turn, sdk, name) : remoteAgent(turn, sdk, other.passing, other.component);
  },
});

function boundModel(turn: SdkTurn, sdk: Sdk, name: string | undefined): SdkModel {
  const logical = name === undefined || name === '' ? defaultModel : modelName(name);
  return asModel(sdk, async (request) => {
    turn.begin();
    const reply = await turn.runtime.models.chat(logical, chatRequestOf(request), turn.scope(), turn.emit);
    const { tokensIn, tokensOut, tokensCached } = reply.usage;
    const usage = { requests: 1, inputTokens: tokensIn, outputTokens: tokensOut, totalTokens: tokensIn + tokensOut };
    return {
      usage: new sdk.Usage({ ...usage, inputTokensDetails: [{ cached_tokens: tokensCached }] }),
      output: outputItemsOf(reply),
    };
  });
}

/** A model of the user's own goes where it goes; that it was asked shows in the trace. */
export function watchedModel(turn: SdkTurn, own: SdkModel, name: string): SdkModel {
  const watch = async <T>(work: () => Promise<T>): Promise<T> => {
    turn.begin();
    const span = turn.runtime.tracing.start(turn.scope().trace, spanName.chat(name), SpanKind.CLIENT);
    span?.span.setAttributes({ [attr.operation]: 'chat', [attr.requestModel]: name });
    try {
      const result = await work();
      const { inputTokens, outputTokens } = (result as { usage?: { inputTokens?: number; outputTokens?: number } }).usage ?? {};
      endSpan(span, undefined, { [attr.tokensIn]: inputTokens ?? 0, [attr.tokensOut]: outputTokens ?? 0 });
      return result;
    } catch (error) {
      endSpan(span, toCallError(error));
      throw error;
    }
  };
  return {
    getResponse: (request) => watch(() => own.getResponse(request)),
    getStreamedResponse: (request) => own.getStreamedResponse(request),
  };
}

function remoteAgent(turn: SdkTurn, sdk: Sdk, passing: Passing, component: string): SdkModel {
  return asModel(sdk, async ({ input }) => {
    const handing = passing === 'handoff';
    if (handing) turn.begin();
    const body: PassedOn = {
      passing,
      input: plainJson(input),
      context: plainJson(turn.context),
      maxTurns: handing ? turn.turnsLeft() : undefined,
    };
    // Only who takes the conversation over speaks to the user; the words of an agent used as a tool are a result.
    const emit = handing ? turn.emit : undefined;
    const from = turn.component;
    const message = { from, to: component, channel: `${from}->${component}`, body, scope: turn.scope() };
    try {
      const reply = (await hop(
        turn.runtime,
        emit === undefined ? { ...message, pattern: 'request' } : { ...message, pattern: 'stream', emit: (chunk) => emit(String(chunk)) },
      )) as PassedBack;
      if (handing) turn.taken = reply;
      return { usage: new sdk.Usage(), output: [messageItem(reply.text)] };
    } catch (thrown) {
      const error = toCallError(thrown);
      // A tool's failure becomes a text for the model; a question to a person, or the end of the request, must not.
      if (error.code === 'inputRequired' || error.code === 'deadline' || error.code === 'cancelled') turn.ended ??= error;
      throw error;
    }
  });
}

/** Answers come whole; who asks for a stream of events gets them in one piece. */
function asModel(sdk: Sdk, getResponse: (request: SdkModelRequest) => Promise<SdkModelResponse>): SdkModel {
  return {
    getResponse,
    async *getStreamedResponse(request) {
      const { output } = await getResponse(request);
      yield { type: 'response_started' };
      const text = lastText(output);
      if (text !== '') yield { type: 'output_text_delta', delta: text };
      const usage = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
      yield { type: 'response_done', response: { id: 'response', usage: { ...new sdk.Usage(usage) }, output } };
    },
  };
}

/** A copy without what JSON does not know, so that agents of one process share no more than agents of two. */
export function plainJson(value: unknown): unknown {
  try {
    return value === undefined ? null : JSON.parse(JSON.stringify(value));
  } catch (error) {
    throw new CallError({ code: 'invalid', message: `the run's context is not JSON: ${String(error)}` });
  }
}
