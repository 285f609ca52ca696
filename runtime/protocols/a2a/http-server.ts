import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  A2A_CONTENT_TYPE,
  A2A_VERSION_HEADER,
  AGENT_CARD_PATH,
  AgentCard,
  Extensions,
  formatSSEErrorEvent,
  formatSSEEvent,
  HTTP_EXTENSION_HEADER,
  SSE_HEADERS,
} from '@a2a-js/sdk';
import { ContentTypeNotSupportedError, RequestMalformedError, restStatusFor, toJsonRpcError, toRestErrorBody } from '@a2a-js/sdk/errors';
import { JsonRpcTransportHandler, ServerCallContext, validateVersion } from '@a2a-js/sdk/server';
import type { CallError } from '../../../compiler/contracts/index.ts';
import { bodyLimitBytes, joinBytes } from '../wire/body.ts';
import { cancelledError } from '../wire/errors.ts';
import type { InFlight } from '../wire/incoming.ts';
import { type Exchange, exchangeState } from './exchange.ts';
import { extensionUri } from './extension.ts';
import type { LegacyBinding } from './legacy-server.ts';
import { answerRest, isRestPath } from './rest.ts';
import type { Agents } from './serving.ts';

/** As runtime/protocols/http-json: longer than any client keeps an idle connection. */
const keepAliveMs = 75_000;
const maxHeaderBytes = 64 * 1024;
/** The envelope around a body, and what escaping adds to its JSON text. */
const requestLimitBytes = 2 * bodyLimitBytes + 1024 * 1024;

export interface HttpAgents {
  readonly agents: Agents;
  readonly inFlight: InFlight;
  readonly legacy: LegacyBinding | undefined;
}

export function createHttpServer(context: HttpAgents): Server {
  // requestTimeout 0: the call's own deadline bounds a large body over a slow link.
  return createServer({ maxHeaderSize: maxHeaderBytes, keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, (request, response) =>
    receive(context, request, response),
  );
}

function receive(context: HttpAgents, request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  let counted = true;
  context.inFlight.begin();
  const done = () => {
    if (counted) context.inFlight.end();
    counted = false;
  };
  response.on('close', done);
  request.on('data', (piece: Buffer) => {
    sizeBytes += piece.length;
    // What is too large is read to its end and dropped, so that the sender gets to read the answer.
    if (sizeBytes <= requestLimitBytes) pieces.push(piece);
    else pieces.length = 0;
  });
  request.on('end', () => {
    const body = sizeBytes > requestLimitBytes ? undefined : joinBytes(pieces, sizeBytes);
    // Who follows a task has had his answer: the work itself is counted where it runs, and a paused one may wait for days.
    answer(context, request, response, body, done).catch(() => response.destroy());
  });
  request.on('error', () => response.destroy());
}

const cardPath = new RegExp(`^/(?:([^/]+)/)?${AGENT_CARD_PATH.replace(/^\//, '').replaceAll('.', '\\.')}$`);

/** Where a request goes: the card, REST (its path ends like one of the binding), or JSON-RPC. */
async function answer(
  context: HttpAgents,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer | undefined,
  follows: () => void,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const card = cardPath.exec(url.pathname);
  if (card !== null && request.method === 'GET') return answerCard(context, request, response, segment(card[1]));
  const path = url.pathname.slice(1);
  if (path.endsWith(':subscribe')) follows();
  if (isRestPath(path)) return rest(context, request, response, undefined, path, url, body);
  const slash = path.indexOf('/');
  if (slash > 0 && isRestPath(path.slice(slash + 1))) {
    return rest(context, request, response, segment(path.slice(0, slash)), path.slice(slash + 1), url, body);
  }
  if (request.method !== 'POST') return send(context, response, 404, toRestErrorBody(new Error(`there is nothing at ${path}`), 404));
  return jsonRpc(context, request, response, segment(path.replace(/\/$/, '')) || undefined, body, follows);
}

function answerCard(
  { agents, legacy, inFlight }: HttpAgents,
  request: IncomingMessage,
  response: ServerResponse,
  name: string | undefined,
): void {
  const component = agents.component(name);
  if (component === undefined) {
    send({ inFlight }, response, 404, toRestErrorBody(new Error(`there is no agent ${name ?? ''} here`), 404));
    return;
  }
  const card = agents.card(component, request.headers.host ?? 'localhost');
  const json = { ...legacy?.cardFields(card), ...(AgentCard.toJSON(card) as object) };
  const etag = `"${createHash('sha256').update(JSON.stringify(json)).digest('hex').slice(0, 16)}"`;
  response.setHeader('cache-control', `public, max-age=${cardLifeSeconds}`);
  response.setHeader('etag', etag);
  response.setHeader('last-modified', startedAt);
  response.setHeader('vary', 'host');
  if (request.headers['if-none-match'] === etag) send({ inFlight }, response, 304, undefined);
  else send({ inFlight }, response, 200, json);
}

/** Short: the tools of a server may change while it runs. */
const cardLifeSeconds = 60;
const startedAt = new Date().toUTCString();

async function jsonRpc(
  context: HttpAgents,
  request: IncomingMessage,
  response: ServerResponse,
  component: string | undefined,
  bytes: Buffer | undefined,
  follows: () => void,
): Promise<void> {
  const { agents, legacy } = context;
  const asked = header(request, A2A_VERSION_HEADER);
  const old = legacy !== undefined && (asked === undefined || asked === '' || asked.startsWith('0.3'));
  const errorOf = old ? legacy.jsonRpcError : toJsonRpcError;
  let id: unknown = null;
  const failed = (error: unknown) => ({ jsonrpc: '2.0', id, error: errorOf(error) });
  try {
    const started = performance.now();
    requireType(request, ['application/json']);
    const body = parse(bytes);
    const parseMs = performance.now() - started;
    id = idOf(body);
    if (followMethods.has((body as { readonly method?: unknown } | null)?.method)) follows();
    const call = contextOf(request, response, component, parseMs, old ? '0.3' : asked);
    validateVersion(call.requestedVersion, await agents.getAgentCard(), 'JSONRPC');
    const handler = old ? legacy.jsonRpc : new JsonRpcTransportHandler(agents);
    const reply = await handler.handle(body as Record<string, unknown>, call);
    activate(response, call);
    if (Symbol.asyncIterator in reply) {
      const events = reply as AsyncGenerator<unknown>;
      await streamEvents(
        context,
        response,
        events,
        (event) => event,
        failed,
        (error) => send(context, response, 200, failed(error)),
      );
    } else send(context, response, 200, reply);
  } catch (error) {
    send(
      context,
      response,
      200,
      error instanceof SyntaxError ? { jsonrpc: '2.0', id, error: { code: -32700, message: 'Invalid JSON payload.' } } : failed(error),
    );
  }
}

/** In 1.0 and in 0.3. */
const followMethods: ReadonlySet<unknown> = new Set(['SubscribeToTask', 'tasks/resubscribe']);

async function rest(
  context: HttpAgents,
  request: IncomingMessage,
  response: ServerResponse,
  component: string | undefined,
  path: string,
  url: URL,
  bytes: Buffer | undefined,
): Promise<void> {
  const failed = (error: unknown) => toRestErrorBody(error, restStatusFor(error));
  // The binding's own type for those who know it; older clients look for plain JSON.
  const type = header(request, 'accept')?.includes(A2A_CONTENT_TYPE) ? A2A_CONTENT_TYPE : 'application/json';
  const sendError = (error: unknown) => send(context, response, restStatusFor(error), failed(error), type);
  try {
    const started = performance.now();
    if (request.method === 'POST') requireType(request, ['application/json', A2A_CONTENT_TYPE]);
    const body = bytes?.length === 0 ? {} : parse(bytes);
    const parseMs = performance.now() - started;
    const call = contextOf(request, response, component, parseMs, header(request, A2A_VERSION_HEADER));
    validateVersion(call.requestedVersion, await context.agents.getAgentCard(), 'HTTP+JSON');
    const reply = await answerRest(context.agents, { method: request.method ?? 'GET', path, query: url.searchParams, body }, call);
    activate(response, call);
    if ('events' in reply) await streamEvents(context, response, reply.events, reply.encode, failed, sendError);
    else send(context, response, reply.status, reply.json, type);
  } catch (error) {
    sendError(error instanceof SyntaxError ? new RequestMalformedError('Invalid JSON payload.') : error);
  }
}

/** An error before the first event is an answer of its own, a later one is the last event. */
async function streamEvents<Event>(
  context: Pick<HttpAgents, 'inFlight'>,
  response: ServerResponse,
  events: AsyncGenerator<Event>,
  encode: (event: Event) => unknown,
  failed: (error: unknown) => unknown,
  sendError: (error: unknown) => void,
): Promise<void> {
  try {
    for await (const event of events) {
      if (response.destroyed) return;
      if (!response.headersSent) response.writeHead(200, { ...SSE_HEADERS, ...closing(context) });
      if (!response.write(formatSSEEvent(encode(event)))) await drained(response);
    }
    if (!response.headersSent) response.writeHead(200, SSE_HEADERS);
  } catch (error) {
    if (!response.headersSent) return sendError(error);
    if (!response.destroyed) response.write(formatSSEErrorEvent(failed(error)));
  }
  response.end();
}

const drained = (response: ServerResponse) =>
  new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });

function contextOf(
  request: IncomingMessage,
  response: ServerResponse,
  component: string | undefined,
  parseMs: number,
  requestedVersion: string | undefined,
): ServerCallContext {
  const exchange: Exchange = {
    component,
    header: (name) => header(request, name),
    parseMs,
    onGone: (stop: (error: CallError) => void) => {
      const gone = () => {
        if (!response.writableFinished) stop(cancelledError('the callee'));
      };
      if (response.destroyed) gone();
      else response.on('close', gone);
    },
  };
  const requestedExtensions = Extensions.parseServiceParameter(header(request, HTTP_EXTENSION_HEADER));
  return new ServerCallContext({
    state: exchangeState(exchange),
    requestedExtensions,
    ...(requestedVersion ? { requestedVersion } : {}),
  });
}

function activate(response: ServerResponse, context: ServerCallContext): void {
  if (context.requestedExtensions?.includes(extensionUri)) response.setHeader(HTTP_EXTENSION_HEADER, extensionUri);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** @throws SyntaxError when it is no JSON, A2AError when it is too large */
function parse(bytes: Buffer | undefined): unknown {
  if (bytes === undefined) throw new RequestMalformedError(`the request is larger than ${requestLimitBytes} bytes`);
  return JSON.parse(bytes.toString('utf8'));
}

function requireType(request: IncomingMessage, types: readonly string[]): void {
  const type = request.headers['content-type'];
  const media = type?.split(';', 1)[0]?.trim().toLowerCase();
  if (media !== undefined && !types.includes(media)) {
    throw new ContentTypeNotSupportedError(`Unsupported Content-Type ${type}; expected ${types.join(' or ')}.`);
  }
}

function idOf(body: unknown): unknown {
  const id = (body as { readonly id?: unknown } | null)?.id;
  return typeof id === 'string' || typeof id === 'number' ? id : null;
}

function send(
  context: Pick<HttpAgents, 'inFlight'>,
  response: ServerResponse,
  status: number,
  json: unknown,
  type = 'application/json',
): void {
  if (response.destroyed || response.headersSent) return;
  const text = json === undefined ? '' : JSON.stringify(json);
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text), ...closing(context) });
  response.end(text);
}

/** While draining every answer is the last on its connection, so that the next call goes to another replica. */
const closing = ({ inFlight }: Pick<HttpAgents, 'inFlight'>) => (inFlight.draining ? { connection: 'close' } : {});

function segment(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
