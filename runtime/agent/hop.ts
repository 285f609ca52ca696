import { SpanKind } from '@opentelemetry/api';
import { toCallError } from '../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import { ownCancellation } from './cancellation.ts';
import type { Delivery } from './delivery.ts';
import { deepFreeze, requireJson } from './json-safe.ts';
import { hopAttributes } from './router.ts';
import type { Runtime } from './runtime.ts';
import { endSpan } from './tracing.ts';

/**
 * Sends a message to another component, wherever it is, and waits for the reply (of a one-way message: until it is
 * accepted). The same checks, limits and errors hold in this process and over a wire.
 *
 * @throws CallError
 */
export function hop(runtime: Runtime, delivery: Delivery): Promise<unknown> {
  requireJson(delivery.body, delivery.to, delivery.pattern === 'publish' ? 'message' : 'input');
  if (runtime.hosts(delivery.to, delivery.instance)) return hopInside(runtime, delivery);
  const instead = runtime.effects.instead(delivery);
  if (instead !== undefined) return hopAnswered(runtime, delivery, instead);
  return runtime.effects.send(delivery, () => runtime.router.send(delivery));
}

/** Nobody is called: what it would have answered comes from a recording, or is made up, or is a refusal. */
async function hopAnswered(runtime: Runtime, delivery: Delivery, answer: () => Promise<unknown>): Promise<unknown> {
  const span = runtime.tracing.start(delivery.scope.trace, spanName.call(delivery.to), SpanKind.CLIENT);
  span?.span.setAttributes({ ...hopAttributes(delivery, 'inproc'), [attr.attempt]: 1, [attr.replayed]: true });
  try {
    const value = await answer();
    endSpan(span);
    return value;
  } catch (thrown) {
    const error = toCallError(thrown, delivery.to);
    endSpan(span, error);
    throw error;
  }
}

/** The neighbour is in this process: no wire, no serving side. */
async function hopInside(runtime: Runtime, delivery: Delivery): Promise<unknown> {
  const { scope, pattern, body } = delivery;
  if (runtime.freeze) deepFreeze(body);
  const oneWay = pattern === 'send' || pattern === 'publish';
  const span = runtime.tracing.start(scope.trace, spanName.call(delivery.to), oneWay ? SpanKind.PRODUCER : SpanKind.CLIENT);
  span?.span.setAttributes({
    ...hopAttributes(delivery, 'inproc'),
    [attr.attempt]: 1,
    [attr.requestBytes]: 0,
    [attr.responseBytes]: 0,
    [attr.serializeMs]: 0,
  });
  const inside = span === undefined ? delivery : { ...delivery, scope: { ...scope, trace: span.trace } };
  try {
    const reply = oneWay ? await acceptInside(runtime, inside) : await scope.cancellation.race(runtime.deliver(inside));
    endSpan(span);
    return runtime.freeze ? deepFreeze(reply) : reply;
  } catch (thrown) {
    const error = toCallError(thrown, delivery.to);
    endSpan(span, error);
    throw error;
  }
}

/** A one-way message outlives its sender, so it gets an end of its own; nobody waits for it, so it has no ancestors. */
async function acceptInside(runtime: Runtime, delivery: Delivery): Promise<unknown> {
  const { scope } = delivery;
  const own = ownCancellation(scope.cancellation.remainingMs());
  runtime.flights.begin(scope.requestId);
  const over = () => {
    own.close();
    runtime.flights.end(scope.requestId);
  };
  try {
    return await runtime.deliver({ ...delivery, scope: { ...scope, cancellation: own.cancellation, ancestors: [] } }, over);
  } catch (error) {
    over();
    throw error;
  }
}
