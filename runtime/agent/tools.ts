import { SpanKind } from '@opentelemetry/api';
import { z } from 'zod';
import type { CodeTool, ToolRef, ToolServerDefinition } from '../../compiler/api/definitions.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { JsonSchema } from '../../compiler/contracts/json.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import { lookupIn } from '../llm/server/facts.ts';
import { valueFor } from '../llm/server/schema-values.ts';
import type { ServedTool } from '../protocols/protocol.ts';
import { defaultConcurrency } from './agent-turn.ts';
import { type Component, escaped } from './dispatch.ts';
import { hop } from './hop.ts';
import { requireJson } from './json-safe.ts';
import { serverOf } from './program.ts';
import type { Runtime } from './runtime.ts';
import { check } from './schema-check.ts';
import type { Scope } from './scope.ts';
import { servedTool } from './served.ts';
import { endSpan } from './tracing.ts';

/** A tool server as a component: its concurrency limit is over all its tools. */
export function toolServerComponent(runtime: () => Runtime, server: ToolServerDefinition, tools: ReadonlyMap<string, CodeTool>): Component {
  const offered = new Set(server.tools.map((tool) => tool.name));
  return {
    name: server.name,
    concurrency: server.options.concurrency ?? defaultConcurrency,
    run: async (delivery, queueMs) => {
      const { tool: name } = delivery;
      const tool = name !== undefined && offered.has(name) ? tools.get(name) : undefined;
      if (tool === undefined) throw unknownTool(name ?? '(none)', server.name);
      try {
        return await runTool(runtime(), tool, delivery.body, delivery.scope, queueMs);
      } catch (error) {
        throw escaped(toCallError(error, server.name), server.name);
      }
    },
  };
}

/**
 * Runs a tool for a component: on its server, wherever that is, or in place when its code travels with the caller.
 *
 * @throws CallError
 */
export async function useTool(runtime: Runtime, from: string, ref: ToolRef, input: unknown, scope: Scope): Promise<unknown> {
  const server = serverOf(runtime.program, ref.name);
  if (server?.elsewhere !== undefined) {
    const checked = check(ref.input, input, ref.name, 'input');
    return check(ref.output, await useForeignTool(runtime, from, server, servedTool(ref), checked, scope), ref.name, 'output');
  }
  if (server !== undefined) {
    const channel = `${from}->${server.name}`;
    return hop(runtime, { from, to: server.name, channel, pattern: 'request', body: input, scope, tool: ref.name });
  }
  const tool = runtime.dispatcher.localTool(ref.name);
  if (tool === undefined) throw unknownTool(ref.name, from);
  requireJson(input, ref.name, 'input');
  return scope.cancellation.race(runTool(runtime, tool, input, scope, undefined));
}

/**
 * Runs a tool of a server that somebody else built. Nobody there knows our rules, so what must not happen while a run
 * measures is kept back here, and the span of the tool is made here.
 *
 * @throws CallError
 */
export async function useForeignTool(
  runtime: Runtime,
  from: string,
  server: ToolServerDefinition,
  tool: ServedTool,
  input: unknown,
  scope: Scope,
): Promise<unknown> {
  const { name, effect } = tool;
  const span = runtime.tracing.start(scope.trace, spanName.tool(name), SpanKind.INTERNAL);
  span?.span.setAttributes({ [attr.operation]: 'execute_tool', [attr.toolName]: name });
  let error: CallError | undefined;
  try {
    if (runtime.effects.modeOfForeign(server.name, tool) === 'stub') {
      span?.span.setAttribute(attr.stubbed, true);
      return stubbed(name, tool.output ?? {}, input);
    }
    const inside = span === undefined ? scope : { ...scope, trace: span.trace };
    const channel = `${from}->${server.name}`;
    return await hop(runtime, { from, to: server.name, channel, pattern: 'request', body: input, scope: inside, tool: name, effect });
  } catch (thrown) {
    error = toCallError(thrown, server.name);
    throw error;
  } finally {
    endSpan(span, error);
  }
}

/** `queueMs` is absent for a local tool: it runs within the turn of its agent and is no turn of its own. */
async function runTool(runtime: Runtime, tool: CodeTool, body: unknown, scope: Scope, queueMs: number | undefined): Promise<unknown> {
  const { name } = tool.ref;
  const span = runtime.tracing.start(scope.trace, spanName.tool(name), SpanKind.INTERNAL);
  span?.span.setAttributes({ [attr.operation]: 'execute_tool', [attr.toolName]: name });
  const watch = queueMs === undefined ? undefined : runtime.activity.enter(span !== undefined);
  let error: CallError | undefined;
  const { cancellation, requestId } = scope;
  try {
    const input = check(tool.ref.input, body, name, 'input');
    const asked = { tool: name, caller: scope.ancestors.at(-1), conversation: requestId, input };
    const work = runtime.effects.tool(asked, {
      live: () => runtime.tracing.within(span, () => tool.run(input as never, { signal: cancellation.signal, requestId })),
      stub: () => stubOf(tool, input),
      answered: (mode) => span?.span.setAttribute(mode === 'tape' ? attr.replayed : attr.stubbed, true),
    });
    const output = check(tool.ref.output, await work, name, 'output') ?? null;
    requireJson(output, name, 'output');
    return output;
  } catch (thrown) {
    error = toCallError(thrown, name);
    throw error;
  } finally {
    const seen = queueMs === undefined ? undefined : runtime.activity.leave(watch);
    endSpan(span, error, seen && { [attr.queueMs]: queueMs, [attr.activeMs]: seen.activeMs, [attr.concurrency]: seen.concurrency });
  }
}

/** What a tool that must not run answers: a value of its output schema, the same for the same input. */
async function stubOf(tool: CodeTool, input: unknown): Promise<unknown> {
  return stubbed(tool.ref.name, z.toJSONSchema(tool.ref.output, { io: 'input', unrepresentable: 'any' }) as JsonSchema, input);
}

function stubbed(name: string, output: JsonSchema, input: unknown): unknown {
  const text = JSON.stringify(input) ?? '';
  return valueFor(output, { known: lookupIn([text]), text: name, seed: `${name} ${text}` });
}

const unknownTool = (tool: string, component: string) =>
  new CallError({ code: 'unknown', message: `there is no tool ${tool} for ${component}`, component });
