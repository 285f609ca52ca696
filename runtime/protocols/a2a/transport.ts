import type { CancelTaskRequest, GetTaskRequest, Message, SendMessageRequest, StreamResponse, Task } from '@a2a-js/sdk';
import type { Transport as SdkTransport } from '@a2a-js/sdk/client';

export interface SendOptions {
  readonly signal: AbortSignal;
  /** HTTP headers or gRPC metadata. */
  readonly headers: Record<string, string>;
}

/** As much of the SDK's transports as calls need, for every binding alike. */
export interface Transport {
  sendMessage(request: SendMessageRequest, options: SendOptions): Promise<Message | Task>;
  sendMessageStream(request: SendMessageRequest, options: SendOptions): AsyncGenerator<StreamResponse, void, undefined>;
  getTask(request: GetTaskRequest, options: SendOptions): Promise<Task>;
  cancelTask(request: CancelTaskRequest, options: SendOptions): Promise<Task>;
  close(): Promise<void>;
}

/** The SDK's transport behind the same face. */
export function fromSdk(sdk: SdkTransport, close: () => Promise<void>): Transport {
  const options = ({ signal, headers }: SendOptions) => ({ signal, serviceParameters: headers });
  return {
    sendMessage: (request, send) => sdk.sendMessage(request, options(send)),
    sendMessageStream: (request, send) => sdk.sendMessageStream(request, options(send)),
    getTask: (request, send) => sdk.getTask(request, options(send)),
    cancelTask: (request, send) => sdk.cancelTask(request, options(send)),
    close,
  };
}
