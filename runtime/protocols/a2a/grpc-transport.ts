import type { AgentCard, Message, SendMessageRequest, StreamResponse, Task } from '@a2a-js/sdk';
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc';
import { A2AService } from '@a2a-js/sdk/server/grpc';
import { Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { channelOptions } from './grpc-options.ts';
import { fromSdk, type Transport } from './transport.ts';

/**
 * The gRPC binding on the SDK's own service definition. The SDK's transport has no way to raise grpc-js's limit of 4 MB a
 * message, nor to close its connection.
 */
export function grpcTransport(address: string): Transport {
  const client = new Client(address, credentials.createInsecure(), {
    ...channelOptions,
    // Closing the client must close its connection, and repeating is decided by the runtime.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 1000,
  });
  const unary = <Request, Reply>(
    method: Pick<MethodDefinition<Request, Reply>, 'path' | 'requestSerialize' | 'responseDeserialize'>,
    request: Request,
    { signal, headers }: { readonly signal: AbortSignal; readonly headers: Record<string, string> },
  ) =>
    new Promise<Reply>((resolve, reject) => {
      const stop = () => call.cancel();
      const call = client.makeUnaryRequest<Request, Reply>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadataOf(headers),
        (error, reply) => {
          signal.removeEventListener('abort', stop);
          if (error !== null) reject(error);
          else resolve(reply as Reply);
        },
      );
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
  return {
    async sendMessage(request, options) {
      const { payload } = await unary<SendMessageRequest, { payload?: { value: Message | Task } | undefined }>(
        A2AService.sendMessage as never,
        request,
        options,
      );
      if (payload === undefined) throw new Error('the reply is neither a message nor a task');
      return payload.value;
    },
    async *sendMessageStream(request, { signal, headers }) {
      const { path, requestSerialize, responseDeserialize } = A2AService.sendStreamingMessage;
      const call = client.makeServerStreamRequest<SendMessageRequest, StreamResponse>(
        path,
        requestSerialize as (value: SendMessageRequest) => Buffer,
        responseDeserialize as (bytes: Buffer) => StreamResponse,
        request,
        metadataOf(headers),
      );
      const stop = () => call.cancel();
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const event of call) yield event as StreamResponse;
      } finally {
        signal.removeEventListener('abort', stop);
        call.cancel();
      }
    },
    getTask: (request, options) => unary(A2AService.getTask as never, request, options),
    cancelTask: (request, options) => unary(A2AService.cancelTask as never, request, options),
    close: async () => client.close(),
  };
}

function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

/** gRPC of A2A 0.3, through the SDK's translation. It has no way to close its connection but its own client's. */
export async function legacyGrpcTransport(address: string, card: AgentCard): Promise<Transport> {
  const sdk = await new GrpcTransportFactory({ legacyCompat: { enabled: true } }).create(address, card);
  return fromSdk(sdk, async () => (sdk as { readonly grpcClient?: { close(): void } }).grpcClient?.close());
}
