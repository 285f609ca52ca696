import type { Attributes } from '@opentelemetry/api';
import { httpUrl, type Peers } from '../../compiler/contracts/binding.ts';
import type { PlannedModel, PlannedUnit } from '../../compiler/contracts/plan.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { ChatModel, LlmBackend } from '../llm/backend.ts';
import { createTokenEstimate, type TokenEstimate } from '../llm/limiter/estimate.ts';

/** One model as some agents of this unit get it, with the servers behind it. */
export interface Binding {
  /** What the agents ask for. */
  readonly name: string;
  readonly model: PlannedModel;
  readonly backend: LlmBackend;
  readonly estimate: TokenEstimate;
  servers: Server[];
}

export interface Server {
  readonly url: string;
  readonly replica: number;
  readonly chat: ChatModel;
  outstanding: number;
}

/** Which model an agent gets where it asks for one. */
export class ModelBindings {
  readonly all: readonly Binding[];
  readonly #shared: ReadonlyMap<string, Binding>;
  readonly #own: ReadonlyMap<string, ReadonlyMap<string, Binding>>;

  constructor({ models, agentModels = {} }: Pick<PlannedUnit, 'models' | 'agentModels'>, backends: ReadonlyMap<string, LlmBackend>) {
    // Agents that share a pool share its connections and counts.
    const made = new Map<string, Binding>();
    const bind = (name: string, model: PlannedModel): Binding => {
      const key = JSON.stringify([name, model]);
      const known = made.get(key) ?? open(name, model, backends);
      made.set(key, known);
      return known;
    };
    const table = (of: PlannedUnit['models']) => new Map(Object.entries(of).map(([name, model]) => [name, bind(name, model)]));
    this.#shared = table(models);
    this.#own = new Map(Object.entries(agentModels).map(([agent, theirs]) => [agent, table(theirs)]));
    this.all = [...made.values()];
  }

  of(agent: string | undefined, name: string): Binding | undefined {
    return (agent === undefined ? undefined : this.#own.get(agent)?.get(name)) ?? this.#shared.get(name);
  }

  /** By the name on the wire, for code that speaks to its model by itself; one that no model has goes to the first. */
  byWireName(agent: string | undefined, asked: string): Binding | undefined {
    const own = agent === undefined ? undefined : this.#own.get(agent);
    const mine = new Map([...this.#shared, ...(own ?? [])]);
    return mine.get(asked) ?? [...mine.values()].find(({ model }) => model.model === asked) ?? mine.values().next().value;
  }

  /** Where the model servers are that we deploy. */
  update(peers: Peers): void {
    for (const binding of this.all) {
      const replicas = isService(binding.model) ? peers[binding.model.address] : undefined;
      if (replicas === undefined) continue;
      const known = new Map(binding.servers.map((server) => [server.url, server]));
      binding.servers = replicas.map(({ at, replica }) => known.get(httpUrl(at)) ?? connect(binding, httpUrl(at), replica));
    }
  }

  missing(): string[] {
    return [...new Set(this.all.filter(({ servers }) => servers.length === 0).map(({ model }) => model.address))];
  }
}

function open(name: string, model: PlannedModel, backends: ReadonlyMap<string, LlmBackend>): Binding {
  const backend = backends.get(model.backend);
  if (backend === undefined) throw new RangeError(`model ${name}: backend ${model.backend} is not in this unit`);
  const binding = { name, model, backend, estimate: createTokenEstimate(), servers: [] as Server[] };
  if (!isService(model)) binding.servers = [connect(binding, model.address, 0)];
  return binding;
}

const connect = ({ model, backend }: Pick<Binding, 'model' | 'backend'>, url: string, replica: number): Server => ({
  url,
  replica,
  chat: backend.connect(model, url, keyOf(model)),
  outstanding: 0,
});

export const keyOf = ({ secret }: PlannedModel): string | undefined => (secret === undefined ? undefined : process.env[secret]);

export const isService = (model: PlannedModel): boolean => model.address.startsWith('service://');

/** What a span says of the model, whatever comes of the call. */
export const modelAttributes = ({ name, model }: Binding): Attributes => ({
  [attr.operation]: 'chat',
  [attr.provider]: model.backend,
  [attr.requestModel]: name,
  [attr.responseModel]: model.model,
  ...(model.pool === undefined ? {} : { [attr.pool]: model.pool }),
});
