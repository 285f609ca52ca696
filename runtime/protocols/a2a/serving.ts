import type { AgentCard, SendMessageRequest } from '@a2a-js/sdk';
import { RequestMalformedError, UnsupportedOperationError } from '@a2a-js/sdk/errors';
import { type A2ARequestHandler, DefaultExecutionEventBusManager, DefaultRequestHandler, type ServerCallContext } from '@a2a-js/sdk/server';
import type { ServedComponent } from '../protocol.ts';
import { type CardContext, cardOf } from './card.ts';
import { exchangeOf } from './exchange.ts';
import { ownCallOf } from './extension.ts';
import { answerOwn, type Serving, streamOwn } from './own-calls.ts';
import { StrangerAgent, streamingKey } from './stranger-agent.ts';
import { RecentTasks } from './task-store.ts';

/**
 * All agents of a listener behind one request handler, whatever the binding. Calls of our own units go straight to the
 * runtime; a stranger's go through the SDK's handler of that agent, with its tasks.
 */
export class Agents implements A2ARequestHandler {
  readonly #serving: Serving;
  readonly #served: (() => readonly ServedComponent[]) | undefined;
  readonly #card: Pick<CardContext, 'bindings' | 'legacy'>;
  readonly #deadlineMs: number;
  readonly #agents = new Map<string, DefaultRequestHandler>();

  constructor(
    serving: Serving,
    served: (() => readonly ServedComponent[]) | undefined,
    card: Pick<CardContext, 'bindings' | 'legacy'>,
    strangerDeadlineMs: number,
  ) {
    this.#serving = serving;
    this.#served = served;
    this.#card = card;
    this.#deadlineMs = strangerDeadlineMs;
  }

  /** The component of that name, or the first one when there is no name. A listener that was not told whom it serves serves anybody. */
  component(name: string | undefined): ServedComponent | undefined {
    const served = this.#served?.();
    if (served === undefined) return name === undefined || name === '' ? undefined : anybody(name);
    return name === undefined || name === '' ? served[0] : served.find((component) => component.name === name);
  }

  card(component: ServedComponent, authority: string): AgentCard {
    return cardOf(component, { ...this.#card, authority, first: this.component(undefined)?.name === component.name });
  }

  /** What the bindings check versions against; it is the same for all agents. */
  async getAgentCard(): Promise<AgentCard> {
    return this.card(this.component(undefined) ?? anybody('agent'), 'localhost');
  }

  async getAuthenticatedExtendedAgentCard(params: { readonly tenant: string }, context: ServerCallContext): Promise<AgentCard> {
    if (!this.#card.bindings.includes('grpc')) throw new UnsupportedOperationError('There is no extended card.');
    const component = this.#componentOf(params, context);
    return this.card(component, exchangeOf(context).header('host') ?? exchangeOf(context).header(':authority') ?? 'localhost');
  }

  async sendMessage(params: SendMessageRequest, context: ServerCallContext): ReturnType<A2ARequestHandler['sendMessage']> {
    const own = ownCallOf(params.message);
    if (own !== undefined) return answerOwn(this.#serving, exchangeOf(context), targetOf(params, context), params, own);
    requireParts(params);
    return this.#agent(params, context).sendMessage(params, context);
  }

  async *sendMessageStream(params: SendMessageRequest, context: ServerCallContext): ReturnType<A2ARequestHandler['sendMessageStream']> {
    const own = ownCallOf(params.message);
    if (own !== undefined) {
      yield* streamOwn(this.#serving, exchangeOf(context), targetOf(params, context), params, own);
      return;
    }
    requireParts(params);
    context.state.set(streamingKey, true);
    yield* this.#agent(params, context).sendMessageStream(params, context);
  }

  getTask: A2ARequestHandler['getTask'] = async (params, context) => this.#agent(params, context).getTask(params, context);

  listTasks: A2ARequestHandler['listTasks'] = async (params, context) => this.#agent(params, context).listTasks(params, context);

  cancelTask: A2ARequestHandler['cancelTask'] = async (params, context) => this.#agent(params, context).cancelTask(params, context);

  resubscribe: A2ARequestHandler['resubscribe'] = (params, context) => this.#agent(params, context).resubscribe(params, context);

  createTaskPushNotificationConfig: A2ARequestHandler['createTaskPushNotificationConfig'] = async (params, context) =>
    this.#agent(params, context).createTaskPushNotificationConfig(params, context);

  getTaskPushNotificationConfig: A2ARequestHandler['getTaskPushNotificationConfig'] = async (params, context) =>
    this.#agent(params, context).getTaskPushNotificationConfig(params, context);

  listTaskPushNotificationConfigs: A2ARequestHandler['listTaskPushNotificationConfigs'] = async (params, context) =>
    this.#agent(params, context).listTaskPushNotificationConfigs(params, context);

  deleteTaskPushNotificationConfig: A2ARequestHandler['deleteTaskPushNotificationConfig'] = async (params, context) =>
    this.#agent(params, context).deleteTaskPushNotificationConfig(params, context);

  #componentOf(params: { readonly tenant: string }, context: ServerCallContext): ServedComponent {
    const name = targetOf(params, context);
    const component = this.component(name);
    if (component === undefined)
      throw new RequestMalformedError(name === '' ? 'the request names no agent' : `there is no agent ${name} here`);
    return component;
  }

  #agent(params: { readonly tenant: string }, context: ServerCallContext): DefaultRequestHandler {
    const component = this.#componentOf(params, context);
    let agent = this.#agents.get(component.name);
    if (agent === undefined) {
      const executor = new StrangerAgent(this.#serving, () => this.component(component.name) ?? component, this.#deadlineMs);
      const buses = new DefaultExecutionEventBusManager();
      // The SDK keeps the bus of a paused task for those who follow it; nobody follows one that is forgotten.
      const tasks = new RecentTasks((taskId, call) => buses.cleanupByTaskId(taskId, call));
      agent = new DefaultRequestHandler(this.card(component, 'localhost'), tasks, executor, buses);
      this.#agents.set(component.name, agent);
    }
    return agent;
  }
}

const targetOf = (params: { readonly tenant: string }, context: ServerCallContext): string =>
  exchangeOf(context).component ?? params.tenant ?? '';

function requireParts({ message }: SendMessageRequest): void {
  if (message === undefined) throw new RequestMalformedError('message is required');
  if (message.parts.length === 0) throw new RequestMalformedError('message.parts must not be empty');
}

const anybody = (name: string): ServedComponent => ({
  name,
  kind: 'agent',
  description: name,
  input: {},
  output: {},
  streams: true,
  tools: [],
});
