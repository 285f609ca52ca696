import { performance } from 'node:perf_hooks';
import { SpanKind } from '@opentelemetry/api';
import { toCallError } from '../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { CallHandler, IncomingCall } from '../protocols/protocol.ts';
import { Cancellation, ownCancellation } from './cancellation.ts';
import { type Delivery, decodeMeta } from './delivery.ts';
import { hopAttributes } from './router.ts';
import type { Finished, Runtime } from './runtime.ts';
import { type ActiveSpan, endSpan } from './tracing.ts';

/** The serving side of a hop: turns what a protocol brings into a delivery, under the caller's deadline and trace. */
export function serving(runtime: Runtime, protocol: string): CallHandler {
  return async (call, emit) => {
    const { flights, tracing } = runtime;
    const oneWay = call.pattern === 'send' || call.pattern === 'publish';
    const trace = tracing.extract(call.meta.trace);
    const span = tracing.start(trace, spanName.serve(call.target), oneWay ? SpanKind.CONSUMER : SpanKind.SERVER);
    const own = oneWay ? ownCancellation(call.meta.remainingMs) : undefined;
    const cancellation = own?.cancellation ?? new Cancellation(call.signal, performance.now() + call.meta.remainingMs);
    const delivery = deliveryOf(call, span?.trace ?? trace, cancellation, emit);
    if (span !== undefined) describe(span, delivery, call, protocol);
    flights.begin(call.meta.requestId);
    const over: Finished = (error) => {
      endSpan(span, error);
      own?.close();
      flights.end(call.meta.requestId);
    };
    try {
      const reply = await runtime.deliver(delivery, oneWay ? over : undefined);
      if (!oneWay) over(undefined);
      return reply;
    } catch (thrown) {
      const error = toCallError(thrown, call.target);
      over(error);
      throw error;
    }
  };
}

function deliveryOf(
  call: IncomingCall,
  trace: Delivery['scope']['trace'],
  cancellation: Cancellation,
  emit: (chunk: unknown) => void,
): Delivery {
  const { meta } = call;
  const { from, channel, ancestors, clock, parts } = decodeMeta(meta);
  return {
    from,
    to: call.target,
    channel,
    pattern: call.pattern,
    body: call.body,
    scope: {
      requestId: meta.requestId,
      requestClass: meta.requestClass,
      sessionId: meta.sessionId,
      origin: meta.origin,
      cancellation,
      ancestors: call.pattern === 'send' || call.pattern === 'publish' ? [] : ancestors,
      trace,
      clock,
      ...(meta.resume === undefined ? {} : { resume: meta.resume }),
    },
    ...(call.pattern === 'stream' ? { emit } : {}),
    ...parts,
  };
}

function describe(span: ActiveSpan, delivery: Delivery, call: IncomingCall, protocol: string): void {
  span.span.setAttributes({
    ...hopAttributes(delivery, protocol),
    [attr.attempt]: call.meta.attempt,
    [attr.requestBytes]: call.wire.requestBytes,
    [attr.serializeMs]: call.wire.deserializeMs,
  });
}
