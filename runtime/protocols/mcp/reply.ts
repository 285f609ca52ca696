import { type CallToolResult, ProtocolError, ProtocolErrorCode, SdkError, SdkErrorCode, SdkHttpError } from '@modelcontextprotocol/client';
import { CallError } from '../../../compiler/contracts/index.ts';
import { decodeCallError, unavailableError } from '../wire/errors.ts';
import { questionOf } from './resume.ts';
import { isObject, replyKey } from './wire.ts';

/** What a unit of ours answered. @throws CallError, the callee's where it sent one */
export function ownOutput(target: string, result: CallToolResult): { readonly output: unknown; readonly sizeBytes: number } {
  const reply = result._meta?.[replyKey];
  if (isObject(reply)) {
    const error = reply.error === undefined ? undefined : decodeCallError(reply.error);
    if (error !== undefined) throw error;
    const { structuredContent } = result;
    if (typeof reply.sizeBytes === 'number' && isObject(structuredContent)) {
      return { output: structuredContent.result, sizeBytes: reply.sizeBytes };
    }
  }
  if (result.isError === true) throw toolError(target, result);
  throw new CallError({ code: 'failed', message: `the reply of ${target} is not that of a unit of this deployment`, component: target });
}

/**
 * What somebody else's tool answered: its structured content where it has some, else its text, else the content as it
 * came (images, links). @throws CallError `failed` for a tool error, `inputRequired` for a question
 */
export function foreignOutput(target: string, result: CallToolResult): unknown {
  const question = questionOf(target, result);
  if (question !== undefined)
    throw new CallError({ code: 'inputRequired', message: `${target} asks for input`, component: target, details: question });
  if (result.isError === true) throw toolError(target, result);
  if (result.structuredContent !== undefined) return result.structuredContent;
  return textOf(result) ?? result.content;
}

function textOf({ content }: CallToolResult): string | undefined {
  const texts = content.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  return texts.length === content.length ? texts.join('\n') : undefined;
}

const toolError = (target: string, result: CallToolResult) =>
  new CallError({
    code: 'failed',
    message: textOf(result) ?? `${target} answered with an error`,
    component: target,
    ...(result.structuredContent === undefined ? {} : { details: result.structuredContent }),
  });

/** Whatever the SDK throws, as the error the runtime decides by. */
export function errorFrom(error: unknown, target: string): CallError {
  if (error instanceof CallError) return error;
  if (error instanceof ProtocolError) return protocolError(error, target);
  if (error instanceof SdkHttpError) {
    return new CallError(
      { code: 'failed', message: `${target} answered with HTTP status ${error.status}`, component: target },
      { cause: error },
    );
  }
  const cause = causeOf(error);
  if (cause !== undefined) return cause;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof SdkError && error.code === SdkErrorCode.InvalidResult) {
    return new CallError({ code: 'failed', message: `the reply of ${target} is not MCP: ${message}`, component: target }, { cause: error });
  }
  return unavailableError(target, message, false, error);
}

/** A typed error the SDK has wrapped, while it connects for instance. */
function causeOf(error: unknown): CallError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof CallError) return at;
  return undefined;
}

function protocolError(error: ProtocolError, target: string): CallError {
  const code =
    error.code === ProtocolErrorCode.MethodNotFound ? 'unknown' : error.code === ProtocolErrorCode.InvalidParams ? 'invalid' : 'failed';
  return new CallError({ code, message: `${target}: ${error.message}`, component: target }, { cause: error });
}
