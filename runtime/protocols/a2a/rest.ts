import {
  AgentCard,
  ListTaskPushNotificationConfigsResponse,
  ListTasksResponse,
  SendMessageRequest,
  SendMessageResponse,
  StreamResponse,
  Task,
  TaskPushNotificationConfig,
  taskStateFromJSON,
} from '@a2a-js/sdk';
import { RequestMalformedError, TaskNotFoundError } from '@a2a-js/sdk/errors';
import type { ServerCallContext } from '@a2a-js/sdk/server';
import type { Agents } from './serving.ts';

/** One request of the HTTP+JSON binding, its path without the agent's own part. */
export interface RestRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

export type RestAnswer =
  | { readonly status: number; readonly json: unknown }
  | { readonly events: AsyncGenerator<StreamResponse, void, undefined>; readonly encode: (event: StreamResponse) => unknown };

type Route = (agents: Agents, request: RestRequest, context: ServerCallContext, id: string, configId: string) => Promise<RestAnswer>;

const ok = (json: unknown, status = 200): RestAnswer => ({ status, json });
const stream = (events: AsyncGenerator<StreamResponse, void, undefined>): RestAnswer => ({ events, encode: StreamResponse.toJSON });
const tenant = '';

const subscribe: Route = async (agents, _, context, id) => stream(agents.resubscribe({ id, tenant }, context));

const routes: readonly (readonly [method: string, path: RegExp, Route])[] = [
  [
    'POST',
    /^message:send$/,
    async (agents, { body }, context) => {
      const reply = await agents.sendMessage(sendRequest(body), context);
      const payload = 'messageId' in reply ? ({ $case: 'message', value: reply } as const) : ({ $case: 'task', value: reply } as const);
      return ok(SendMessageResponse.toJSON({ payload }));
    },
  ],
  ['POST', /^message:stream$/, async (agents, { body }, context) => stream(agents.sendMessageStream(sendRequest(body), context))],
  [
    'GET',
    /^extendedAgentCard$/,
    async (agents, _, context) => ok(AgentCard.toJSON(await agents.getAuthenticatedExtendedAgentCard({ tenant }, context))),
  ],
  [
    'POST',
    /^tasks\/([^/]+):cancel$/,
    async (agents, _, context, id) => ok(Task.toJSON(await agents.cancelTask({ id, tenant, metadata: {} }, context))),
  ],
  ['GET', /^tasks\/([^/]+):subscribe$/, subscribe],
  ['POST', /^tasks\/([^/]+):subscribe$/, subscribe],
  [
    'GET',
    /^tasks\/([^/]+)$/,
    async (agents, { query }, context, id) =>
      ok(Task.toJSON(await agents.getTask({ id, tenant, ...defined('historyLength', integer(query, 'historyLength')) }, context))),
  ],
  ['GET', /^tasks$/, listTasks],
  [
    'POST',
    /^tasks\/([^/]+)\/pushNotificationConfigs$/,
    async (agents, { body }, context, taskId) => {
      const config = TaskPushNotificationConfig.fromJSON({ ...(body as object), taskId });
      return ok(TaskPushNotificationConfig.toJSON(await agents.createTaskPushNotificationConfig(config, context)), 201);
    },
  ],
  [
    'GET',
    /^tasks\/([^/]+)\/pushNotificationConfigs$/,
    async (agents, _, context, taskId) => {
      const request = { taskId, tenant, pageSize: 0, pageToken: '' };
      return ok(ListTaskPushNotificationConfigsResponse.toJSON(await agents.listTaskPushNotificationConfigs(request, context)));
    },
  ],
  [
    'GET',
    /^tasks\/([^/]+)\/pushNotificationConfigs\/([^/]+)$/,
    async (agents, _, context, taskId, id) =>
      ok(TaskPushNotificationConfig.toJSON(await agents.getTaskPushNotificationConfig({ taskId, id, tenant }, context))),
  ],
  [
    'DELETE',
    /^tasks\/([^/]+)\/pushNotificationConfigs\/([^/]+)$/,
    async (agents, _, context, taskId, id) => {
      await agents.deleteTaskPushNotificationConfig({ taskId, id, tenant }, context);
      return ok(undefined, 204);
    },
  ],
];

/** Whether a path, without the agent's part, belongs to this binding. */
export const isRestPath = (path: string): boolean => routes.some(([, pattern]) => pattern.test(path));

/** @throws A2AError */
export async function answerRest(agents: Agents, request: RestRequest, context: ServerCallContext): Promise<RestAnswer> {
  for (const [method, pattern, route] of routes) {
    const match = method === request.method ? pattern.exec(request.path) : null;
    if (match !== null) return route(agents, request, context, decoded(match[1]), decoded(match[2]));
  }
  throw new TaskNotFoundError(`there is nothing at ${request.method} ${request.path}`);
}

function sendRequest(body: unknown): SendMessageRequest {
  if (typeof body !== 'object' || body === null) throw new RequestMalformedError('the request body is no JSON object');
  const request = SendMessageRequest.fromJSON(body);
  if (!request.message?.messageId) throw new RequestMalformedError('message.messageId is required');
  return request;
}

async function listTasks(agents: Agents, { query }: RestRequest, context: ServerCallContext): Promise<RestAnswer> {
  const status = query.get('status');
  const includeArtifacts = query.get('includeArtifacts');
  const response = await agents.listTasks(
    {
      tenant,
      contextId: query.get('contextId') ?? '',
      status: status ? taskStateFromJSON(Number.isNaN(Number(status)) ? status : Number(status)) : 0,
      pageToken: query.get('pageToken') ?? '',
      statusTimestampAfter: query.get('statusTimestampAfter') || undefined,
      ...defined('pageSize', integer(query, 'pageSize')),
      ...defined('historyLength', integer(query, 'historyLength')),
      ...defined('includeArtifacts', includeArtifacts === null ? undefined : includeArtifacts === 'true'),
    },
    context,
  );
  // Fields that are empty are left out by the codec; these four have to be there (proto field behaviour REQUIRED).
  const empty = { tasks: [], nextPageToken: '', pageSize: 0, totalSize: 0 };
  return ok({ ...empty, ...(ListTasksResponse.toJSON(response) as object) });
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new RequestMalformedError(`${name} must be a whole number, not ${text}`);
  return value;
}

const defined = <K extends string, V>(name: K, value: V | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [name in K]?: V };

function decoded(text = ''): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RequestMalformedError(`malformed path segment ${text}`);
  }
}
