import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SpanKind } from '@opentelemetry/api';
import { CallError, type CallErrorValue, type InputRequest, type PausedAnswer, toCallError } from '../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import { ownCancellation } from './cancellation.ts';
import { epochMs } from './clock.ts';
import type { Delivery } from './delivery.ts';
import { isRecord } from './graph-shape.ts';
import { sampledAt } from './hashing.ts';
import { hop } from './hop.ts';
import { parseJson, readBody, sendError, sendJson } from './http-server.ts';
import { ingressHeaders, neverStartedHeader, outcomeTrailer } from './ingress-headers.ts';
import { ingressComponent } from './program.ts';
import { RequestTally } from './request-tally.ts';
import type { Runtime } from './runtime.ts';
import { emptyClock, type Resume, type Scope } from './scope.ts';
import { endSpan, type TraceHeaders } from './tracing.ts';

/**
 * Where users' requests enter. `POST /` with the input as JSON answers with the output as JSON, or with
 * `accept: text/event-stream` with events `{"chunk":…}` and a last `{"output":…}` or `{"error":…}`. Errors have the status
 * of their code and a CallErrorValue as body. Sampling is decided here and nowhere else.
 *
 * A request that needs a person's answer ends with 428 and a `PausedAnswer`. The client goes on with a request that has the
 * header `x-dmas-resume: 1`, the session, request id and `traceparent` of that answer, and the body
 * `{"input":…,"resume":{"<id of the question>":…},"pausedAtMs":…}`: the same input, and all answers so far. Nothing is
 * remembered here in between.
 */
export class Ingress {
  readonly #runtime: Runtime;
  /** Requests of a topic entry that wait for their completing message, by request id. */
  readonly #completions = new Map<string, (output: unknown) => void>();
  readonly #tally = new RequestTally();
  #samplingRatio: number;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#samplingRatio = runtime.binding.samplingRatio;
  }

  get samplingRatio(): number {
    return this.#samplingRatio;
  }

  sample(ratio: number): void {
    this.#samplingRatio = ratio;
  }

  get waiting(): number {
    return this.#completions.size;
  }

  /** What was asked and answered here, and for how long the oldest request under way has been. */
  stats() {
    const { waiting, samplingRatio } = this;
    return { waiting, samplingRatio, tally: this.#tally.snapshot(), oldestMs: this.#tally.oldestMs() };
  }

  /** Takes a message of the completion topic; the first one of a request completes it. */
  complete(delivery: Delivery): void {
    this.#completions.get(delivery.scope.requestId)?.(delivery.body);
  }

  readonly listener = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.method !== 'POST') {
      request.resume();
      sendError(response, { code: 'unknown', message: `POST the input to /; ${request.method} ${request.url} is not known` });
      return;
    }
    void this.#serve(request, response);
  };

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { flights, tracing } = this.#runtime;
    const counted = this.#tally.begin(request);
    const header = (name: string) => request.headers[name] as string | undefined;
    const requestId = header(ingressHeaders.request) ?? randomUUID();
    const identity = { [ingressHeaders.request]: requestId };
    const asked = tracing.decide(traceHeaders(request), sampledAt(requestId, this.#samplingRatio));
    const span = tracing.start(asked, spanName.ingress(), SpanKind.SERVER);
    const sessionId = header(ingressHeaders.session) ?? requestId;
    const requestClass = header(ingressHeaders.class);
    span?.span.setAttributes({
      [attr.requestId]: requestId,
      [attr.conversationId]: sessionId,
      [attr.workflowName]: this.#runtime.program.application,
      ...optional(attr.requestClass, requestClass),
      ...optional(attr.blockId, header(ingressHeaders.block)),
    });
    const own = ownCancellation(this.#deadlineMs(header(ingressHeaders.deadlineMs)));
    response.on('close', () => {
      if (!response.writableFinished) own.abort(new CallError({ code: 'cancelled', message: 'the client went away' }));
    });
    const refused = flights.draining;
    // Refused requests are in flight too: a draining unit answers them.
    flights.begin(requestId);
    let failure: CallError | undefined;
    const streams = header('accept')?.includes('text/event-stream') === true;
    try {
      if (refused) throw new CallError({ code: 'unavailable', message: 'the unit is shutting down', neverStarted: true });
      const sent = parseJson(await readBody(request));
      const { input: body, resume, pausedAtMs } = header(ingressHeaders.resume) === undefined ? fresh(sent) : followUp(sent);
      if (pausedAtMs !== undefined) tracing.past(asked, spanName.humanWait(), pausedAtMs);
      const scope: Scope = {
        requestId,
        requestClass,
        sessionId,
        origin: this.#runtime.binding.instanceId,
        cancellation: own.cancellation,
        ancestors: [],
        trace: span?.trace ?? { context: undefined, headers: traceHeaders(request) },
        clock: emptyClock,
        ...(resume === undefined ? {} : { resume }),
      };
      const send = (chunk: unknown) => {
        counted.chunk();
        sendEvent(response, identity, { chunk });
      };
      const emit = streams ? send : undefined;
      const output = await this.#enter(body, scope, emit);
      if (streams) endEvents(response, identity, { output: output ?? null });
      else sendJson(response, 200, output, identity);
    } catch (thrown) {
      failure = toCallError(thrown);
      const trace = span === undefined ? {} : tracing.inject(span.trace);
      const value = failure.code === 'inputRequired' ? pausedAnswer(failure.value, sessionId, requestId, trace) : failure.value;
      if (response.headersSent) {
        if (!response.writableEnded) response.addTrailers({ [outcomeTrailer]: failure.code });
        endEvents(response, identity, { error: value });
      } else sendError(response, value, failure.value.neverStarted ? { ...identity, [neverStartedHeader]: '1' } : identity);
      if (!request.complete) request.resume();
    } finally {
      own.close();
      endSpan(span, failure, { [attr.outcome]: failure?.code ?? 'ok' });
      flights.end(requestId);
      counted.end(failure?.code);
    }
  }

  #enter(body: unknown, scope: Scope, emit: ((chunk: unknown) => void) | undefined): Promise<unknown> {
    const { entry } = this.#runtime.program.ingress;
    if (entry.kind === 'topic') return this.#enterTopic(entry.publish, body, scope);
    const message: Delivery = {
      from: ingressComponent,
      to: entry.agent,
      channel: `${ingressComponent}->${entry.agent}`,
      pattern: emit === undefined ? 'request' : 'stream',
      body,
      scope,
    };
    return hop(this.#runtime, emit === undefined ? message : { ...message, emit });
  }

  /** Publishes the request, and waits for the first message of it on the completion topic. */
  async #enterTopic(name: string, body: unknown, scope: Scope): Promise<unknown> {
    const topic = this.#runtime.program.topics.find((candidate) => candidate.name === name);
    if (topic === undefined) throw new CallError({ code: 'unknown', message: `topic ${name} is not known in this unit` });
    const { requestId } = scope;
    if (this.#completions.has(requestId)) throw new CallError({ code: 'invalid', message: `request id ${requestId} is in use` });
    const completed = new Promise<unknown>((resolve) => this.#completions.set(requestId, resolve));
    try {
      await this.#runtime.topics.publish(ingressComponent, topic, body, scope);
      return await scope.cancellation.race(completed);
    } finally {
      this.#completions.delete(requestId);
    }
  }

  #deadlineMs(header: string | undefined): number {
    const asked = header === undefined ? Number.NaN : Number(header);
    const { deadlineMs } = this.#runtime.program.ingress;
    return asked > 0 ? Math.min(asked, deadlineMs) : deadlineMs;
  }
}

interface Entered {
  readonly input: unknown;
  readonly resume?: Resume;
  /** Epoch milliseconds. */
  readonly pausedAtMs?: number;
}

const fresh = (input: unknown): Entered => ({ input });

/** @throws CallError `invalid` */
function followUp(body: unknown): Entered {
  const { input, resume, pausedAtMs } = isRecord(body) ? body : {};
  if (!isRecord(resume)) {
    const message = `with ${ingressHeaders.resume} the body is {"input":…,"resume":{"<id of the question>":<answer>}}`;
    throw new CallError({ code: 'invalid', message });
  }
  // A clock that went back would make a span of negative length.
  const past = typeof pausedAtMs === 'number' && pausedAtMs > 0 && pausedAtMs <= epochMs() ? { pausedAtMs } : {};
  return { input, resume, ...past };
}

function pausedAnswer(value: CallErrorValue, session: string, request: string, { traceparent }: TraceHeaders): PausedAnswer {
  const trace = traceparent === undefined ? {} : { traceparent };
  return { ...value, code: 'inputRequired', details: value.details as InputRequest, session, request, ...trace, pausedAtMs: epochMs() };
}

function traceHeaders(request: IncomingMessage): { [header: string]: string } {
  const headers: { [header: string]: string } = {};
  for (const name of ['traceparent', 'tracestate', 'baggage']) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

function sendEvent(response: ServerResponse, headers: { readonly [name: string]: string }, event: unknown): void {
  if (response.destroyed || response.writableEnded) return;
  if (!response.headersSent)
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'cache-control': 'no-store', trailer: outcomeTrailer });
  response.write(`data: ${JSON.stringify(event)}\n\n`);
}

function endEvents(response: ServerResponse, headers: { readonly [name: string]: string }, event: unknown): void {
  sendEvent(response, headers, event);
  response.end();
}

const optional = (name: string, value: string | undefined) => (value === undefined ? {} : { [name]: value });
