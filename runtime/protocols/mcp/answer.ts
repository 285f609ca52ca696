import {
  type CallToolRequestParams,
  type CallToolResult,
  type InputRequiredResult,
  type ListToolsResult,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { type CallError, type Pattern, toCallError } from '../../../compiler/contracts/index.ts';
import { type CallHandler, type CallMeta, type IncomingCall, type ServedComponent, stranger } from '../protocol.ts';
import { bodyLimitBytes, toJsonText, tooLarge } from '../wire/body.ts';
import { cancelledError } from '../wire/errors.ts';
import { type InFlight, serveCall } from '../wire/incoming.ts';
import { askForInput, resumedBy } from './input.ts';
import type { Exchange } from './server.ts';
import { type Offered, offeredTools } from './tools.ts';
import { chunkKey, decodeOwnCall, isObject, type Meta, type OwnCall, type OwnChunk, type OwnReply, plainError, replyKey } from './wire.ts';

export interface Answering {
  readonly handler: CallHandler;
  readonly served: () => readonly ServedComponent[];
  readonly inFlight: InFlight;
  readonly listTtlMs: number;
}

export function answerList({ served, listTtlMs }: Answering, { only }: Exchange): ListToolsResult {
  const tools = [...offeredTools(served(), only).values()].map(({ tool }) => tool);
  return { tools, ttlMs: listTtlMs, cacheScope: 'public' };
}

/** Runs one call for a unit of ours or for a stranger. Throws a ProtocolError where no tool is meant that there is. */
export async function answerCall(
  answering: Answering,
  exchange: Exchange,
  params: CallToolRequestParams,
  context: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const given = (params._meta ?? {}) as Meta;
  let call: Omit<IncomingCall, 'signal'>;
  let own: OwnCall | undefined;
  let offered: Offered | undefined;
  try {
    const decoded = decodeOwnCall(given, exchange.headers);
    own = decoded.own;
    if (own !== undefined) call = callOfOurs(own, decoded.meta, params, exchange);
    else {
      offered = offeredTools(answering.served(), exchange.only).get(params.name);
      if (offered === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
      call = callOfStranger(offered, { ...decoded.meta, ...resumedBy(context) }, params, exchange, given.progressToken !== undefined);
    }
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    return failed(toCallError(error), true);
  }
  try {
    const output = await run(answering, exchange, call, context, own !== undefined);
    return own === undefined ? resultForStranger(output, offered) : resultForUs(output, call.pattern);
  } catch (thrown) {
    const error = toCallError(thrown);
    const asked = own === undefined ? askForInput(error, call.meta.sessionId, context) : undefined;
    return asked ?? failed(error, own !== undefined);
  }
}

function callOfOurs(own: OwnCall, meta: CallMeta, params: CallToolRequestParams, exchange: Exchange): Omit<IncomingCall, 'signal'> {
  return {
    target: own.target,
    pattern: own.pattern,
    body: params.arguments?.input,
    meta,
    wire: { requestBytes: own.sizeBytes, deserializeMs: exchange.parseMs },
  };
}

/** A stranger's wire bytes are those of its whole message: the size of the arguments alone is not known without writing them again. */
function callOfStranger(
  offered: Offered,
  meta: CallMeta,
  params: CallToolRequestParams,
  exchange: Exchange,
  listens: boolean,
): Omit<IncomingCall, 'signal'> {
  const { component, name, wrapsInput } = offered;
  const given = params.arguments ?? {};
  return {
    target: component.name,
    // Who gave a progress token wants to hear of chunks.
    pattern: component.streams && listens ? 'stream' : 'request',
    body: wrapsInput ? given.input : given,
    meta: {
      ...meta,
      from: stranger,
      channel: `${stranger}->${component.name}`,
      ...(name === undefined ? {} : { extra: { tool: name } }),
    },
    wire: { requestBytes: exchange.sizeBytes, deserializeMs: exchange.parseMs },
  };
}

/** Under the deadline of the call; ends with its caller. Rejects with a CallError. */
async function run(
  { handler, inFlight }: Answering,
  { response }: Exchange,
  call: Omit<IncomingCall, 'signal'>,
  context: ServerContext,
  ours: boolean,
): Promise<unknown> {
  inFlight.begin();
  const told: Promise<void>[] = [];
  const progressToken = context.mcpReq._meta?.progressToken;
  let progress = 0;
  const emit = (value: unknown) => {
    if (progressToken === undefined) return;
    const json = toJsonText(value, 'a chunk');
    const chunk: OwnChunk = { value, sizeBytes: Buffer.byteLength(json) };
    const said = ours ? { _meta: { [chunkKey]: chunk } } : { message: typeof value === 'string' ? value : json };
    const notification = { method: 'notifications/progress', params: { progressToken, progress: ++progress, ...said } } as const;
    // A chunk nobody takes any more is no error; the end of the call says so.
    told.push(context.mcpReq.notify(notification).catch(() => {}));
  };
  const served = serveCall(handler, call, emit);
  const gone = () => served.cancel(cancelledError(call.target));
  let over = () => inFlight.end();
  if (response.destroyed) {
    gone();
    over();
    over = () => {};
  } else {
    response.once('close', () => {
      gone();
      over();
    });
  }
  context.mcpReq.signal.addEventListener('abort', gone, { once: true });
  try {
    const output = await served.result;
    await Promise.all(told);
    return output;
  } finally {
    context.mcpReq.signal.removeEventListener('abort', gone);
  }
}

function resultForUs(output: unknown, pattern: Pattern): CallToolResult {
  const accepted = pattern === 'send' || pattern === 'publish';
  const sizeBytes = accepted ? 0 : Buffer.byteLength(toJsonText(output, 'the output'));
  if (sizeBytes > bodyLimitBytes) throw tooLarge('the output');
  const reply: OwnReply = { sizeBytes };
  // Text beside it would say the same again, for a reader that is not there.
  return { content: [], structuredContent: accepted ? {} : { result: output }, _meta: { [replyKey]: reply } };
}

function resultForStranger(output: unknown, offered: Offered | undefined): CallToolResult {
  const text = typeof output === 'string' ? output : toJsonText(output, 'the output');
  const structured = offered?.wrapsOutput === true ? { result: output } : isObject(output) ? output : undefined;
  return { content: [{ type: 'text', text }], ...(structured === undefined ? {} : { structuredContent: structured }) };
}

/** What went wrong in a handler is a result in MCP, one that a model can read. Units of ours get the typed error beside it. */
function failed(error: CallError, ours: boolean): CallToolResult {
  const { code, message, component } = error.value;
  const where = component === undefined ? '' : ` (${component})`;
  const reply: OwnReply = { error: plainError(error.value) };
  return {
    content: [{ type: 'text', text: `${code}: ${message}${where}` }],
    isError: true,
    ...(ours ? { _meta: { [replyKey]: reply } } : {}),
  };
}
