import {
  type Attributes,
  type Context,
  context as contextApi,
  createContextKey,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider, type Sampler, SamplingDecision, type SpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { ProcessBinding } from '../../compiler/contracts/binding.ts';
import type { CallError, InputRequest } from '../../compiler/contracts/call-errors.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { epochMs } from './clock.ts';
import { TurnContextManager } from './context-manager.ts';

/** The trace of a request at one place. An unsampled one carries only what must be passed on, and costs nothing. */
export interface TraceScope {
  /** Present when the request is traced: holds the parent span and the baggage. */
  readonly context: Context | undefined;
  /** Headers passed on when it is not traced. */
  readonly headers: TraceHeaders;
}
export type TraceHeaders = { readonly [header: string]: string };
export const untraced: TraceScope = { context: undefined, headers: {} };

/** A span under way, and the scope of what happens inside it. */
export interface ActiveSpan {
  readonly span: Span;
  readonly trace: TraceScope;
}

/** One for all units of a process (a process has one unit, tests have several). */
const turnContexts = new TurnContextManager();

/** Set on the context under which the ingress makes its span: the one place where sampling is decided. */
const decidedKey = createContextKey('dmas.sampled');

/** The ingress decides; everybody else does as the parent span says. A span of user code without a parent is not kept. */
const sampler: Sampler = {
  shouldSample: (context) => {
    const parent = trace.getSpanContext(context);
    const sampled = context.getValue(decidedKey) === true || (parent !== undefined && (parent.traceFlags & TraceFlags.SAMPLED) !== 0);
    return { decision: sampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD };
  },
  toString: () => 'DecidedAtIngress',
};

const batching = { maxQueueSize: 65_536, maxExportBatchSize: 2_048, scheduledDelayMillis: 1_000 } as const;

export class Tracing {
  readonly #provider: NodeTracerProvider;
  readonly #tracer: Tracer;

  constructor(application: string, unit: string, binding: ProcessBinding, extra: readonly SpanProcessor[] = []) {
    const exporters = binding.otlpEndpoints.map((url) => new OTLPTraceExporter({ url: `${url.replace(/\/$/, '')}/v1/traces` }));
    this.#provider = new NodeTracerProvider({
      sampler,
      resource: resourceFromAttributes({
        [attr.serviceName]: application,
        [attr.serviceInstance]: binding.instanceId,
        [attr.deploymentId]: binding.deploymentId,
        [attr.unit]: unit,
        [attr.replica]: binding.replica,
      }),
      spanProcessors: [...exporters.map((exporter) => new BatchSpanProcessor(exporter, batching)), ...extra],
    });
    // The first unit of a process becomes the provider of user code's own spans.
    this.#provider.register({ contextManager: turnContexts });
    this.#tracer = this.#provider.getTracer('dmas-opt');
  }

  /** The trace that came with a message. */
  extract(headers: TraceHeaders): TraceScope {
    const { traceparent } = headers;
    if (traceparent === undefined || !isSampled(traceparent))
      return Object.keys(headers).length === 0 ? untraced : { context: undefined, headers };
    return { context: propagation.extract(ROOT_CONTEXT, headers), headers };
  }

  /** The scope under which the ingress makes its span: a sampled context of the user's is honoured, else `sample` decides. */
  decide(headers: TraceHeaders, sample: boolean): TraceScope {
    const given = this.extract(headers);
    if (given.context !== undefined || !sample) return given;
    return { context: propagation.extract(ROOT_CONTEXT, headers).setValue(decidedKey, true), headers };
  }

  /** A span under `parent`; undefined when the request is not traced, so that nobody builds attributes for nothing. */
  start(parent: TraceScope, name: string, kind: SpanKind): ActiveSpan | undefined {
    if (parent.context === undefined) return undefined;
    const span = this.#tracer.startSpan(name, { kind, startTime: epochMs() }, parent.context);
    const context = trace.setSpan(parent.context, span).deleteValue(decidedKey);
    return { span, trace: { context, headers: parent.headers } };
  }

  /** A span of something that is over now: `sinceMs` is its start, epoch milliseconds. */
  past(parent: TraceScope, name: string, sinceMs: number): void {
    // Without a parent it would be a trace of its own.
    if (parent.context === undefined || trace.getSpanContext(parent.context) === undefined) return;
    this.#tracer.startSpan(name, { kind: SpanKind.INTERNAL, startTime: sinceMs }, parent.context).end(epochMs());
  }

  /** Runs user code inside a span, so that its own spans and baggage are seen. */
  within<T>(active: ActiveSpan | undefined, work: () => Promise<T>): Promise<T> {
    const context = active?.trace.context;
    return context === undefined ? work() : turnContexts.turn(context, work);
  }

  /** The scope at a place in user code: inside the user's own span where there is one. */
  here(scope: TraceScope): TraceScope {
    if (scope.context === undefined) return scope;
    const current = contextApi.active();
    const ours = trace.getSpanContext(scope.context);
    const theirs = trace.getSpanContext(current);
    return theirs?.traceId === ours?.traceId && theirs !== undefined ? { context: current, headers: scope.headers } : scope;
  }

  /** Headers that carry the trace over the next hop. */
  inject(scope: TraceScope): TraceHeaders {
    if (scope.context === undefined) return scope.headers;
    const headers: { [header: string]: string } = {};
    propagation.inject(scope.context, headers);
    return headers;
  }

  flush(): Promise<void> {
    return this.#provider.forceFlush();
  }

  async close(): Promise<void> {
    await this.#provider.shutdown().catch(() => {});
    const global: unknown = trace.getTracerProvider();
    if (isProxy(global) && global.getDelegate() === this.#provider) trace.disable();
  }
}

/** Ends a span with what came of it. */
export function endSpan(active: ActiveSpan | undefined, error?: CallError, attributes?: Attributes): void {
  if (active === undefined) return;
  if (attributes !== undefined) active.span.setAttributes(attributes);
  if (error?.code === 'inputRequired') {
    // Nothing went wrong: somebody is asked, and the request goes on with the answer.
    active.span.setAttribute(attr.paused, (error.value.details as InputRequest | undefined)?.id ?? '');
  } else if (error !== undefined) {
    active.span.setAttribute(attr.errorType, error.code);
    active.span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  active.span.end(epochMs());
}

/** The flags are the last field of `00-<trace id>-<span id>-<flags>`. */
function isSampled(traceparent: string): boolean {
  return traceparent.length >= 55 && (Number.parseInt(traceparent.slice(53, 55), 16) & TraceFlags.SAMPLED) !== 0;
}

const isProxy = (value: unknown): value is { getDelegate(): unknown } =>
  typeof value === 'object' && value !== null && 'getDelegate' in value && typeof value.getDelegate === 'function';
