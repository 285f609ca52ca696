import { type Attributes, SpanKind } from '@opentelemetry/api';
import type { Peers } from '../../compiler/contracts/binding.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import { modelFaultOf } from '../../compiler/contracts/model-faults.ts';
import type { PlannedUnit } from '../../compiler/contracts/plan.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { ChatReply, ChatRequest, LlmBackend, SendGate } from '../llm/backend.ts';
import { LimiterClient } from '../llm/limiter/client.ts';
import { prefixAttribute, promptParts } from '../llm/prompt-parts.ts';
import { rendezvous } from './hashing.ts';
import { type Binding, isService, keyOf, ModelBindings, modelAttributes, type Server } from './model-servers.ts';
import { lessBusyOfTwo } from './replicas.ts';
import type { Scope } from './scope.ts';
import { endSpan, type Tracing } from './tracing.ts';

/** The models of this unit's agents. */
export class Models {
  readonly #tracing: Tracing;
  readonly #bindings: ModelBindings;
  readonly #limiters: ReadonlyMap<string, LimiterClient>;

  constructor(unit: Pick<PlannedUnit, 'models' | 'agentModels'>, backends: ReadonlyMap<string, LlmBackend>, tracing: Tracing) {
    this.#tracing = tracing;
    this.#bindings = new ModelBindings(unit, backends);
    const addresses = this.#bindings.all.flatMap(({ model }) => model.limiter ?? []);
    this.#limiters = new Map([...new Set(addresses)].map((address) => [address, new LimiterClient(address)]));
  }

  /** Where the model servers are that we deploy, and who keeps count of limits. */
  update(peers: Peers): void {
    this.#bindings.update(peers);
    for (const limiter of this.#limiters.values()) limiter.update(peers);
  }

  missing(): string[] {
    return [...this.#bindings.missing(), ...[...this.#limiters.values()].flatMap((limiter) => limiter.missing())];
  }

  close(): void {
    for (const limiter of this.#limiters.values()) limiter.close();
  }

  /**
   * One model call, on the less busy of two servers, or where the model's option says so on the one its session keeps to.
   * Which pool answers depends on the agent at work.
   *
   * @throws CallError
   */
  async chat(name: string, request: ChatRequest, scope: Scope, emit?: (text: string) => void): Promise<ChatReply> {
    const binding = this.#bindings.of(scope.ancestors.at(-1), name);
    const server = binding === undefined ? undefined : pick(binding, scope);
    if (binding === undefined) throw new CallError({ code: 'unknown', message: `model ${name} is not bound in this unit` });
    if (server === undefined) throw new CallError({ code: 'unavailable', message: `no server of model ${name} is known` });
    const span = this.#tracing.start(scope.trace, spanName.chat(name), SpanKind.CLIENT);
    const limiter = this.#limiterOf(binding);
    const parts = span === undefined && limiter === undefined ? [] : promptParts(request);
    const gate = limiter && new Gate(limiter, binding, parts, request.maxTokens);
    server.outstanding++;
    try {
      const asking = isService(binding.model) ? { ...request, asker: askerOf(scope) } : request;
      const { signal } = scope.cancellation;
      const reply = await scope.cancellation.race(server.chat.chat(asking, signal, emit, gate));
      gate?.learn(reply.usage);
      if (span !== undefined) {
        const prefix = { [attr.prefix]: prefixAttribute(parts, reply.usage.tokensIn), ...badCalls(request, reply) };
        endSpan(span, undefined, { ...modelAttributes(binding), ...replyAttributes(reply), ...gate?.attributes(), ...prefix });
      }
      return reply;
    } catch (thrown) {
      const error = toCallError(thrown);
      if (span !== undefined) endSpan(span, error, { ...modelAttributes(binding), ...faultAttributes(error), ...gate?.attributes() });
      throw error;
    } finally {
      server.outstanding--;
    }
  }

  /**
   * Lets code that speaks to a model by itself do so, on the less busy of two servers. `asked` is the name on the wire; one
   * that no model has goes to the first. `agent` is who asks, as far as that is known.
   *
   * @throws CallError `unavailable`
   */
  async direct<T>({ asked, agent, parts, maxTokens }: DirectCall, work: (server: DirectServer) => Promise<T>): Promise<T> {
    const binding = this.#bindings.byWireName(agent, asked);
    const server = lessBusyOfTwo(binding?.servers ?? []);
    if (binding === undefined || server === undefined)
      throw new CallError({ code: 'unavailable', message: `no server of model ${asked} is known` });
    const { model } = binding;
    const key = keyOf(model);
    const limiter = this.#limiterOf(binding);
    server.outstanding++;
    try {
      return await work({
        url: server.url,
        ...(key === undefined ? {} : { key }),
        name: binding.name,
        wireName: model.model,
        attributes: modelAttributes(binding),
        ...(limiter === undefined ? {} : { gate: new Gate(limiter, binding, parts, maxTokens) }),
      });
    } finally {
      server.outstanding--;
    }
  }

  #limiterOf({ model }: Binding): LimiterClient | undefined {
    return model.limiter === undefined ? undefined : this.#limiters.get(model.limiter);
  }
}

export interface DirectCall {
  /** Name on the wire. */
  readonly asked: string;
  readonly agent: string | undefined;
  /** See `promptPartsOfBody`. */
  readonly parts: readonly string[];
  readonly maxTokens: number | undefined;
}

/** A model server for code that calls it by itself. */
export interface DirectServer {
  /** Base URL as bound; without a path it is the server's root. */
  readonly url: string;
  readonly key?: string;
  /** Logical name of the model. */
  readonly name: string;
  /** What its server calls it. */
  readonly wireName: string;
  /** What a span of the call says of the model. */
  readonly attributes: Attributes;
  /** Present where the model has limits: its permit comes first. */
  readonly gate?: Gate;
}

/** Keeps the attempts of one call within the limits of its model, and knows how long they waited for that. */
export class Gate implements SendGate {
  readonly #limiter: LimiterClient;
  readonly #binding: Binding;
  readonly #parts: readonly string[];
  readonly #maxTokens: number | undefined;
  #waitedMs = 0;

  constructor(limiter: LimiterClient, binding: Binding, parts: readonly string[], maxTokens: number | undefined) {
    this.#limiter = limiter;
    this.#binding = binding;
    this.#parts = parts;
    this.#maxTokens = maxTokens;
  }

  async enter(signal: AbortSignal) {
    const { name, model, estimate } = this.#binding;
    const startMs = performance.now();
    try {
      return await this.#limiter.enter(model.chosen ?? name, estimate.of(this.#parts, this.#maxTokens), signal);
    } finally {
      this.#waitedMs += performance.now() - startMs;
    }
  }

  learn(usage: ChatReply['usage']): void {
    this.#binding.estimate.learn(this.#parts, usage);
  }

  attributes(): Attributes {
    return { [attr.limitMs]: this.#waitedMs };
  }
}

function pick({ model, servers }: Binding, scope: Scope): Server | undefined {
  if (model.options.affinity === 'session') return rendezvous(scope.sessionId, servers, ({ replica }) => replica);
  return lessBusyOfTwo(servers);
}

/** The innermost component that is at work, and the request as the conversation. */
function askerOf({ ancestors, requestId }: Scope): NonNullable<ChatRequest['asker']> {
  const agent = ancestors.at(-1);
  return { conversation: requestId, ...(agent === undefined ? {} : { agent }) };
}

/** What a span of a model call says of its reply. */
export const replyAttributes = (reply: Omit<ChatReply, 'text' | 'toolCalls' | 'finish'>): Attributes => ({
  [attr.tokensIn]: reply.usage.tokensIn,
  [attr.tokensOut]: reply.usage.tokensOut,
  [attr.tokensCached]: reply.usage.tokensCached,
  [attr.timeToFirstChunkS]: reply.firstChunkMs / 1000,
  ...(reply.queueMs === undefined ? {} : { [attr.queueMs]: reply.queueMs }),
  ...(reply.attempts === undefined ? {} : { [attr.attempt]: reply.attempts }),
  ...(reply.usageEstimated === true ? { [attr.usageEstimated]: true } : {}),
});

/** The agent tells its model of such calls and goes on; how often that happens shows here. */
function badCalls({ tools }: ChatRequest, { toolCalls }: ChatReply): Attributes {
  if (toolCalls.length === 0) return {};
  const bad = toolCalls.filter((call) => !tools.some(({ name }) => name === call.name) || !isJson(call.arguments)).length;
  return bad === 0 ? {} : { [attr.badToolCalls]: bad };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text === '' ? '{}' : text);
    return true;
  } catch {
    return false;
  }
}

function faultAttributes(error: CallError): Attributes {
  const fault = modelFaultOf(error.value.details);
  if (fault === undefined) return {};
  return { [attr.modelFault]: fault.kind, ...(fault.attempts === undefined ? {} : { [attr.attempt]: fault.attempts }) };
}
