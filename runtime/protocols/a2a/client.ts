import {
  A2A_PROTOCOL_VERSION,
  A2A_VERSION_HEADER,
  type AgentCard,
  HTTP_EXTENSION_HEADER,
  type SendMessageRequest,
  type StreamResponse,
} from '@a2a-js/sdk';
import { JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { type BindAddress, CallError, httpUrl } from '../../../compiler/contracts/index.ts';
import type { Connection, OutgoingCall } from '../protocol.ts';
import { cancelledError, unavailableError } from '../wire/errors.ts';
import { OpenCalls, watchCall } from '../wire/outgoing.ts';
import type { Binding } from './card.ts';
import { encodeOwnRequest, errorIn, extensionUri, ownText } from './extension.ts';
import { failureOf } from './failures.ts';
import { createA2aFetch, type Watches } from './fetch.ts';
import { outputArtifact } from './own-calls.ts';
import type { A2aOptions } from './server.ts';
import { fromSdk, type Transport } from './transport.ts';

/** One of our own units: its interface is known, so no card is asked for. */
export function connectA2a(at: BindAddress, { binding }: A2aOptions): Connection {
  const watches: Watches = new WeakMap();
  const open = new OpenCalls();
  // Begun at once, so that the first call does not pay for loading gRPC out of its deadline.
  const opening = openTransport(at, binding, watches);
  let transport: Transport | undefined;
  opening.then(
    (opened) => {
      transport = opened;
    },
    // Told to whoever calls.
    () => {},
  );
  const ready = () => opening;
  return {
    call: (call) => unaryCall(transport ?? ready, watches, open, call),
    stream: (call) => streamCall(transport ?? ready, open, call),
    async close() {
      open.close();
      const opened = await opening.catch(() => undefined);
      await opened?.close();
    },
  };
}

async function openTransport(at: BindAddress, binding: Binding, watches: Watches): Promise<Transport> {
  if (binding === 'grpc') {
    const { grpcTransport } = await import('./grpc-transport.ts');
    return grpcTransport(httpUrl(at).slice('http://'.length));
  }
  const http = createA2aFetch(watches);
  const factory =
    binding === 'rest' ? new RestTransportFactory({ fetchImpl: http.fetch }) : new JsonRpcTransportFactory({ fetchImpl: http.fetch });
  // A card is only looked at for versions before 1.0.
  return fromSdk(await factory.create(httpUrl(at), {} as AgentCard), http.close);
}

type Ready = Transport | (() => Promise<Transport>);

async function unaryCall(ready: Ready, watches: Watches, open: OpenCalls, call: OutgoingCall): Promise<unknown> {
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const release = watchCall(
      call,
      (error) => {
        reject(error);
        controller.abort(error);
      },
      open,
    );
    const send = async () => {
      const transport = typeof ready === 'function' ? await ready() : ready;
      let started = performance.now();
      const { request, headers } = encode(call);
      watches.set(controller.signal, {
        sent: () => {
          call.wire.serializeMs += performance.now() - started;
        },
        received: (parseMs) => {
          call.wire.serializeMs += parseMs;
        },
      });
      const replying = transport.sendMessage(request, { signal: controller.signal, headers });
      // gRPC tells nobody when it has written its message; by now it has.
      const encodedMs = performance.now() - started;
      const reply = await replying;
      if (call.wire.serializeMs === 0) call.wire.serializeMs += encodedMs;
      started = performance.now();
      if (!('messageId' in reply)) throw new CallError({ code: 'failed', message: `${call.target} answered with a task` });
      const error = errorIn(reply.metadata);
      if (error !== undefined) throw error;
      return decode(call, ownText(reply.parts));
    };
    send()
      .catch((error) => {
        throw failureOf(error, call.target);
      })
      .finally(release)
      .then(resolve, reject);
  });
}

async function* streamCall(ready: Ready, open: OpenCalls, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  const controller = new AbortController();
  let stopped: CallError | undefined;
  const release = watchCall(
    call,
    (error) => {
      stopped = error;
      controller.abort(error);
    },
    open,
  );
  try {
    const transport = typeof ready === 'function' ? await ready() : ready;
    if (stopped !== undefined) throw stopped;
    const started = performance.now();
    const { request, headers } = encode(call);
    call.wire.serializeMs += performance.now() - started;
    const events = transport.sendMessageStream(request, { signal: controller.signal, headers });
    return yield* readEvents(call, events);
  } catch (error) {
    throw stopped ?? failureOf(error, call.target);
  } finally {
    release();
    if (!controller.signal.aborted) controller.abort(cancelledError(call.target));
  }
}

async function* readEvents(call: OutgoingCall, events: AsyncGenerator<StreamResponse>): AsyncGenerator<unknown, unknown> {
  let text = '';
  let output: { readonly value: unknown } | undefined;
  for await (const { payload } of events) {
    if (payload?.$case === 'artifactUpdate') {
      const { artifact, lastChunk } = payload.value;
      text += ownText(artifact?.parts ?? []) ?? '';
      if (!lastChunk) continue;
      const value = decode(call, text);
      text = '';
      if (artifact?.artifactId === outputArtifact) output = { value };
      else yield value;
    } else if (payload?.$case === 'statusUpdate') {
      const error = errorIn(payload.value.metadata);
      if (error !== undefined) throw error;
      if (output !== undefined) return output.value;
    } else if (payload?.$case === 'message') {
      throw (
        errorIn(payload.value.metadata) ?? new CallError({ code: 'failed', message: `${call.target} answered a stream with a message` })
      );
    }
  }
  throw unavailableError(call.target, 'the stream broke off', false);
}

function encode(call: OutgoingCall): { readonly request: SendMessageRequest; readonly headers: Record<string, string> } {
  const { message, headers, bodyBytes } = encodeOwnRequest(call.meta, call.pattern, call.body, `the body for ${call.target}`);
  call.wire.requestBytes = bodyBytes;
  headers[A2A_VERSION_HEADER] = A2A_PROTOCOL_VERSION;
  headers[HTTP_EXTENSION_HEADER] = extensionUri;
  const oneWay = call.pattern === 'send' || call.pattern === 'publish';
  const configuration = oneWay ? { acceptedOutputModes: [], taskPushNotificationConfig: undefined, returnImmediately: true } : undefined;
  return { request: { tenant: call.target, message, configuration, metadata: undefined }, headers };
}

function decode(call: OutgoingCall, text: string | undefined): unknown {
  if (text === undefined) throw new CallError({ code: 'failed', message: `the reply of ${call.target} has no JSON part` });
  call.wire.responseBytes += Buffer.byteLength(text);
  if (text === '') return undefined;
  const started = performance.now();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CallError({ code: 'failed', message: `the reply of ${call.target} is not JSON` }, { cause: error });
  } finally {
    call.wire.serializeMs += performance.now() - started;
  }
}
