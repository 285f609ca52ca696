import { SpanKind } from '@opentelemetry/api';
import { type CallError, toCallError } from '../../../compiler/contracts/call-errors.ts';
import type { JsonSchema } from '../../../compiler/contracts/json.ts';
import { attr, spanName } from '../../../compiler/contracts/trace-attributes.ts';
import type { SdkTool } from '../../../compiler/frontends/openai-agents/sdk.ts';
import { lookupIn } from '../../llm/server/facts.ts';
import { valueFor } from '../../llm/server/schema-values.ts';
import { endSpan } from '../tracing.ts';
import type { SdkTurn } from './turn.ts';

/**
 * A function tool that shows in the trace, and is answered instead of run where a study must not run it. The copy keeps
 * everything else of the tool, hidden fields too.
 */
export function watchedFunction(turn: SdkTurn, name: string, tool: SdkTool): SdkTool {
  const { tracing, binding } = turn.runtime;
  const invoke = async (context: unknown, input: string, details?: unknown): Promise<unknown> => {
    const span = tracing.start(turn.scope().trace, spanName.tool(name), SpanKind.INTERNAL);
    span?.span.setAttributes({ [attr.operation]: 'execute_tool', [attr.toolName]: name });
    let error: CallError | undefined;
    try {
      if (binding.stubbedTools?.includes(name)) {
        span?.span.setAttribute(attr.stubbed, true);
        return stubOf(name, tool, input);
      }
      return await tracing.within(span, async () => tool.invoke?.(context, input, details));
    } catch (thrown) {
      error = toCallError(thrown, name);
      throw thrown;
    } finally {
      endSpan(span, error);
    }
  };
  return Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(tool), invoke: { value: invoke, enumerable: true } }) as SdkTool;
}

/** The same for the same input: a value of the tool's output schema, or a text where it has none. */
function stubOf(name: string, { outputSchema }: SdkTool, input: string): unknown {
  if (outputSchema === undefined || outputSchema === null) return `${name} was not run`;
  return valueFor(outputSchema as JsonSchema, { known: lookupIn([input]), text: name, seed: `${name} ${input}` });
}
