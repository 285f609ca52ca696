import { SpanKind } from '@opentelemetry/api';
import type { AgentRef } from '../../compiler/api/definitions.ts';
import { toCallError } from '../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { Delivery } from './delivery.ts';
import { type Component, escaped } from './dispatch.ts';
import { requireJson } from './json-safe.ts';
import { type Pause, pausesOf } from './pause.ts';
import type { Runtime } from './runtime.ts';
import { check } from './schema-check.ts';
import type { Scope } from './scope.ts';
import { endSpan } from './tracing.ts';

/** An agent's code, whatever its kind: gets checked input, returns what becomes the output. */
export type AgentHandler = (input: unknown, turn: AgentTurn) => Promise<unknown>;

export interface AgentTurn {
  /** The request as the agent's own calls see it: the agent is among the ancestors. */
  readonly scope: Scope;
  /** Present when the caller asked for a stream. */
  readonly emit: ((chunk: unknown) => void) | undefined;
  /** See `AgentContext.pause`. */
  readonly pause: Pause;
}

/** Default of `PlacementHints.concurrency`. */
export const defaultConcurrency = 64;

/** Wraps an agent's handler into a component: span, checks of input and output, typed errors. */
export function agentComponent(runtime: () => Runtime, ref: AgentRef, concurrency: number | undefined, handle: AgentHandler): Component {
  return {
    name: ref.name,
    concurrency: concurrency ?? defaultConcurrency,
    run: (delivery, queueMs) => runAgent(runtime(), ref, handle, delivery, queueMs),
  };
}

async function runAgent(runtime: Runtime, ref: AgentRef, handle: AgentHandler, delivery: Delivery, queueMs: number): Promise<unknown> {
  const { tracing, activity } = runtime;
  const { scope } = delivery;
  const span = tracing.start(scope.trace, spanName.agent(ref.name), SpanKind.INTERNAL);
  const watch = activity.enter(span !== undefined);
  let error: ReturnType<typeof toCallError> | undefined;
  try {
    const input = check(ref.input, delivery.body, ref.name, 'input');
    const trace = span?.trace ?? scope.trace;
    const turn: AgentTurn = {
      scope: { ...scope, ancestors: [...scope.ancestors, ref.name], trace },
      emit: emitter(ref, delivery),
      pause: pausesOf(ref.name, delivery),
    };
    const raw = await tracing.within(span, () => handle(input, turn));
    return answerOf(ref, delivery, raw);
  } catch (thrown) {
    error = escaped(toCallError(thrown, ref.name), ref.name);
    throw error;
  } finally {
    const seen = activity.leave(watch);
    if (span !== undefined && seen !== undefined) {
      endSpan(span, error, {
        [attr.operation]: 'invoke_agent',
        [attr.agentName]: ref.name,
        [attr.queueMs]: queueMs,
        [attr.activeMs]: seen.activeMs,
        [attr.concurrency]: seen.concurrency,
        ...(delivery.graph === undefined ? {} : { [attr.step]: delivery.graph.step }),
        ...(delivery.topic === undefined ? {} : { [attr.topic]: delivery.topic.name }),
      });
    }
  }
}

/** Nobody gets the output of a one-way message, so it may be anything. JSON knows no undefined: it becomes null. */
function answerOf(ref: AgentRef, delivery: Delivery, raw: unknown): unknown {
  if (delivery.pattern === 'send' || delivery.pattern === 'publish') return undefined;
  const output = check(ref.output, raw, ref.name, 'output') ?? null;
  requireJson(output, ref.name, 'output');
  return output;
}

function emitter(ref: AgentRef, delivery: Delivery): AgentTurn['emit'] {
  const { emit } = delivery;
  if (emit === undefined || delivery.pattern !== 'stream') return undefined;
  return (chunk) => {
    const checked = ref.chunk === undefined ? chunk : check(ref.chunk, chunk, ref.name, 'chunk');
    requireJson(checked, ref.name, 'chunk');
    emit(checked);
  };
}
