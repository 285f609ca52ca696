import { randomUUID } from 'node:crypto';
import type { CallToolRequestOptions, CallToolResult, Client, Progress } from '@modelcontextprotocol/client';
import { CallError, httpUrl, type ReplicaAddress, toCallError } from '../../../compiler/contracts/index.ts';
import type { Connection, OutgoingCall, ProtocolOptions, ServedTool } from '../protocol.ts';
import { bodyLimitBytes, toJsonText, tooLarge } from '../wire/body.ts';
import { ChunkQueue } from '../wire/chunk-queue.ts';
import { cancelledError, unavailableError } from '../wire/errors.ts';
import { maxRemainingMs } from '../wire/meta.ts';
import { OpenCalls, watchCall } from '../wire/outgoing.ts';
import { Door, type DoorOptions, revisions } from './door.ts';
import { type CallWire, createMcpWire, wireHeader } from './fetch.ts';
import { errorFrom, foreignOutput, ownOutput } from './reply.ts';
import { answersFor } from './resume.ts';
import { servedTool } from './tools.ts';
import { chunkKey, encodeForeignCall, encodeOwnCall, isObject, type OwnChunk } from './wire.ts';

/** One pool of HTTP connections per callee replica. A unit of ours is known to be stateless; others are asked, or told. */
export function connectMcp(to: ReplicaAddress, options: ProtocolOptions): Connection {
  const foreign = to.foreign === true;
  const url = endpointOf(to);
  const { origin } = new URL(url);
  const wire = createMcpWire(origin);
  const open = new OpenCalls();
  const given = options.revision as '2026-07-28' | '2025-11-25' | 'auto' | undefined;
  const common = { foreign, listTtlMs: Number(options.listTtlMs ?? 0) };
  const told = foreign || given === revisions.handshake;
  const main = new Door({ ...common, url, revision: told ? (given ?? 'auto') : 'known' }, wire);
  // A unit is asked for the tools of one of its components; of those of another it need not tell.
  const lists = new Map<string, Door>();
  const listDoor = (target: string): Door => {
    if (foreign) return main;
    const revision: DoorOptions['revision'] = given === revisions.handshake ? given : revisions.stateless;
    const door = lists.get(target) ?? new Door({ ...common, url: `${origin}/${encodeURIComponent(target)}/mcp`, revision }, wire);
    lists.set(target, door);
    return door;
  };
  const talk: Talk = { foreign, main, open, calls: wire.calls };
  let closing: Promise<void> | undefined;
  return {
    call: (call) => exchange(talk, call, undefined),
    stream: (call) => streamCall(talk, call),
    discover: (target, signal) => discover(open, listDoor(target), target, signal),
    close: () => {
      open.close();
      closing ??= Promise.all([main, ...lists.values()].map((door) => door.close())).then(() => wire.close());
      return closing;
    },
  };
}

/** A URL that names no path means the usual one. */
function endpointOf({ url, at }: ReplicaAddress): string {
  const endpoint = new URL(url ?? httpUrl(at));
  if (endpoint.pathname === '/') endpoint.pathname = '/mcp';
  return endpoint.href;
}

interface Talk {
  readonly foreign: boolean;
  readonly main: Door;
  readonly open: OpenCalls;
  readonly calls: Map<string, CallWire>;
}

async function discover(open: OpenCalls, door: Door, target: string, signal: AbortSignal): Promise<readonly ServedTool[]> {
  let stop: (error: CallError) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const onAbort = () => stop(signal.reason instanceof CallError ? signal.reason : cancelledError(target));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    open.add(target, stop);
    return (await Promise.race([door.list(), stopped])).map(servedTool);
  } catch (error) {
    throw errorFrom(error, target);
  } finally {
    signal.removeEventListener('abort', onAbort);
    open.remove(stop);
  }
}

async function* streamCall(talk: Talk, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  // The SDK reads a stream to its end as fast as it comes; what the reader has not taken yet waits here.
  const queue = new ChunkQueue();
  const controller = new AbortController();
  exchange(talk, call, (progress) => queue.push(chunkOf(talk, call, progress)), controller.signal).then(
    (output) => queue.end(output),
    (error) => queue.fail(error),
  );
  try {
    return yield* queue.drain();
  } finally {
    controller.abort();
  }
}

function chunkOf({ foreign }: Talk, call: OutgoingCall, progress: Progress): unknown {
  const chunk = (progress as { readonly _meta?: { readonly [key: string]: unknown } })._meta?.[chunkKey] as OwnChunk | undefined;
  if (!foreign && chunk !== undefined) {
    call.wire.responseBytes += chunk.sizeBytes;
    return chunk.value;
  }
  const { progress: done, total, message } = progress;
  return message ?? { progress: done, ...(total === undefined ? {} : { total }) };
}

/** One call from its beginning to its one end. `early`: the reader of its stream went away. */
function exchange(
  talk: Talk,
  call: OutgoingCall,
  onprogress: ((progress: Progress) => void) | undefined,
  early?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const key = randomUUID();
    const wire: CallWire = {
      target: call.target,
      sendingSince: 0,
      serializeMs: 0,
      responseBytes: 0,
      abort: () => {},
      // A result that came with the end of the stream is still on its way through the SDK.
      brokeOff: () => setImmediate(() => over || stop(unavailableError(call.target, 'the reply broke off', false))),
    };
    let over = false;
    let release = () => {};
    const finish = (settle: () => void) => {
      if (over) return;
      over = true;
      release();
      early?.removeEventListener('abort', left);
      talk.calls.delete(key);
      call.wire.serializeMs += wire.serializeMs;
      settle();
    };
    const stop = (error: CallError) => {
      finish(() => reject(error));
      // First the SDK, which in the older revision tells the server; then the wire, which the newer one means by it.
      controller.abort(error);
      wire.abort();
    };
    const left = () => {
      if (!over) stop(cancelledError(call.target));
    };
    try {
      release = watchCall(call, stop, talk.open);
      early?.addEventListener('abort', left, { once: true });
      const { params, headers } = talk.foreign ? foreignParams(call) : ownParams(call);
      talk.calls.set(key, wire);
      const options: CallToolRequestOptions = {
        signal: controller.signal,
        timeout: maxRemainingMs,
        headers: { ...headers, [wireHeader]: key },
        ...(onprogress === undefined ? {} : { onprogress }),
      };
      talk.main
        .use((client) => (over ? Promise.reject(cancelledError(call.target)) : request(talk, client, params, options)))
        .then((result) => {
          const output = outputOf(talk, call, wire, result);
          finish(() => resolve(output));
        })
        .catch((error) => finish(() => reject(errorFrom(error, call.target))));
    } catch (error) {
      finish(() => reject(toCallError(error)));
    }
  });
}

type Params = Parameters<Client['callTool']>[0];

/** Tools of others go by the SDK's own way, which mirrors parameters into headers where the tool wants it. */
function request(talk: Talk, client: Client, params: Params, options: CallToolRequestOptions): Promise<CallToolResult> {
  if (!talk.foreign) return client.request({ method: 'tools/call', params }, options);
  const known = talk.main.tools.get(params.name);
  if (known === undefined) return client.callTool(params, { ...options, allowInputRequired: true });
  // Without its output schema, because a result that asks for input has no output, and the caller checks what it expects.
  const { outputSchema: _, ...toolDefinition } = known;
  return client.callTool(params, { ...options, allowInputRequired: true, toolDefinition });
}

/** @throws CallError where the result is an error, or a question */
function outputOf(talk: Talk, call: OutgoingCall, wire: CallWire, result: CallToolResult): unknown {
  if (talk.foreign) {
    call.wire.responseBytes += wire.responseBytes;
    return foreignOutput(call.target, result);
  }
  const { output, sizeBytes } = ownOutput(call.target, result);
  call.wire.responseBytes += sizeBytes;
  return output;
}

function ownParams(call: OutgoingCall): { readonly params: Params; readonly headers: Record<string, string> } {
  const sizeBytes = measure(call);
  const { meta, headers } = encodeOwnCall(call, sizeBytes);
  return { params: { name: nameOf(call), arguments: { input: call.body }, _meta: meta }, headers };
}

function foreignParams(call: OutgoingCall): { readonly params: Params; readonly headers: Record<string, string> } {
  if (call.pattern === 'send' || call.pattern === 'publish') {
    const message = `${call.target} speaks MCP, which has no one-way messages; call it and leave the result`;
    throw new CallError({ code: 'invalid', message, component: call.target });
  }
  if (call.body !== undefined && !isObject(call.body)) {
    throw new CallError({
      code: 'invalid',
      message: `an MCP tool takes an object, not ${JSON.stringify(call.body)}`,
      component: call.target,
    });
  }
  measure(call);
  const { meta, headers } = encodeForeignCall(call.meta);
  return { params: { name: nameOf(call), arguments: call.body ?? {}, _meta: meta, ...answersFor(call.meta.resume) } as Params, headers };
}

/** A tool of a server by its own name, an agent by the agent's. */
function nameOf(call: OutgoingCall): string {
  const tool = call.meta.extra?.tool;
  return typeof tool === 'string' ? tool : call.target;
}

/** The size of the body as JSON. @throws CallError `invalid` when it is none, or too large. */
function measure(call: OutgoingCall): number {
  const started = performance.now();
  const sizeBytes = Buffer.byteLength(toJsonText(call.body, `the body for ${call.target}`));
  call.wire.serializeMs += performance.now() - started;
  if (sizeBytes > bodyLimitBytes) throw tooLarge(`the body for ${call.target}`);
  call.wire.requestBytes = sizeBytes;
  return sizeBytes;
}
