import { type Attributes, SpanKind } from '@opentelemetry/api';
import { httpUrl, type Peers } from '../../compiler/contracts/binding.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { PlannedModel } from '../../compiler/contracts/plan.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { ChatModel, ChatReply, ChatRequest, LlmBackend } from '../llm/backend.ts';
import { rendezvous } from './hashing.ts';
import { lessBusyOfTwo } from './replicas.ts';
import type { Scope } from './scope.ts';
import { endSpan, type Tracing } from './tracing.ts';

interface Server {
  readonly url: string;
  readonly replica: number;
  readonly chat: ChatModel;
  outstanding: number;
}

interface Binding {
  readonly name: string;
  readonly model: PlannedModel;
  readonly backend: LlmBackend;
  servers: Server[];
}

/** The models of this unit's agents, each with the servers behind it. */
export class Models {
  readonly #tracing: Tracing;
  readonly #bindings: ReadonlyMap<string, Binding>;

  constructor(models: { readonly [name: string]: PlannedModel }, backends: ReadonlyMap<string, LlmBackend>, tracing: Tracing) {
    this.#tracing = tracing;
    const bindings = Object.entries(models).map(([name, model]) => {
      const backend = backends.get(model.backend);
      if (backend === undefined) throw new RangeError(`model ${name}: backend ${model.backend} is not in this unit`);
      const urls = isService(model) ? [] : [model.address];
      return [name, { name, model, backend, servers: urls.map((url) => connect(model, backend, url, 0)) }] as const;
    });
    this.#bindings = new Map(bindings);
  }

  /** Where the model servers are that we deploy. */
  update(peers: Peers): void {
    for (const binding of this.#bindings.values()) {
      const replicas = isService(binding.model) ? peers[binding.model.address] : undefined;
      if (replicas === undefined) continue;
      const known = new Map(binding.servers.map((server) => [server.url, server]));
      binding.servers = replicas.map(
        ({ at, replica }) => known.get(httpUrl(at)) ?? connect(binding.model, binding.backend, httpUrl(at), replica),
      );
    }
  }

  missing(): string[] {
    return [...this.#bindings.values()].filter(({ servers }) => servers.length === 0).map(({ model }) => model.address);
  }

  /**
   * One model call, on the less busy of two servers, or where the model's option says so on the one its session keeps to.
   *
   * @throws CallError
   */
  async chat(name: string, request: ChatRequest, scope: Scope, emit?: (text: string) => void): Promise<ChatReply> {
    const binding = this.#bindings.get(name);
    const server = binding === undefined ? undefined : pick(binding, scope);
    if (binding === undefined) throw new CallError({ code: 'unknown', message: `model ${name} is not bound in this unit` });
    if (server === undefined) throw new CallError({ code: 'unavailable', message: `no server of model ${name} is known` });
    const span = this.#tracing.start(scope.trace, spanName.chat(name), SpanKind.CLIENT);
    server.outstanding++;
    try {
      const reply = await scope.cancellation.race(
        server.chat.chat(isService(binding.model) ? { ...request, asker: askerOf(scope) } : request, scope.cancellation.signal, emit),
      );
      if (span !== undefined) endSpan(span, undefined, { ...modelAttributes(binding), ...replyAttributes(reply) });
      return reply;
    } catch (thrown) {
      const error = toCallError(thrown);
      if (span !== undefined) endSpan(span, error, modelAttributes(binding));
      throw error;
    } finally {
      server.outstanding--;
    }
  }

  /**
   * Lets code that speaks to a model by itself do so, on the less busy of two servers. `asked` is the name on the wire; one
   * that no model has goes to the first.
   *
   * @throws CallError `unavailable`
   */
  async direct<T>(asked: string, work: (server: DirectServer) => Promise<T>): Promise<T> {
    const bindings = [...this.#bindings.values()];
    const binding = bindings.find(({ name, model }) => name === asked || model.model === asked) ?? bindings[0];
    const server = lessBusyOfTwo(binding?.servers ?? []);
    if (binding === undefined || server === undefined)
      throw new CallError({ code: 'unavailable', message: `no server of model ${asked} is known` });
    const { model } = binding;
    const key = model.secret === undefined ? undefined : process.env[model.secret];
    server.outstanding++;
    try {
      return await work({
        url: server.url,
        ...(key === undefined ? {} : { key }),
        name: binding.name,
        wireName: model.model,
        attributes: modelAttributes(binding),
      });
    } finally {
      server.outstanding--;
    }
  }
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

function connect(model: PlannedModel, backend: LlmBackend, url: string, replica: number): Server {
  return {
    url,
    replica,
    chat: backend.connect(model, url, model.secret === undefined ? undefined : process.env[model.secret]),
    outstanding: 0,
  };
}

const isService = (model: PlannedModel) => model.address.startsWith('service://');

const modelAttributes = ({ name, model }: Binding) => ({
  [attr.operation]: 'chat',
  [attr.provider]: model.backend,
  [attr.requestModel]: name,
  [attr.responseModel]: model.model,
});

/** What a span of a model call says of its reply. */
export const replyAttributes = ({ usage, firstChunkMs, queueMs }: Pick<ChatReply, 'usage' | 'firstChunkMs' | 'queueMs'>) => ({
  [attr.tokensIn]: usage.tokensIn,
  [attr.tokensOut]: usage.tokensOut,
  [attr.tokensCached]: usage.tokensCached,
  [attr.timeToFirstChunkS]: firstChunkMs / 1000,
  ...(queueMs === undefined ? {} : { [attr.queueMs]: queueMs }),
});
