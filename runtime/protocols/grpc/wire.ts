import { type ChannelOptions, Metadata, status } from '@grpc/grpc-js';
import { type BindAddress, CallError, type CallErrorCode } from '../../../compiler/contracts/index.ts';
import { bodyLimitBytes } from '../wire/body.ts';
import { decodeCallError, encodeCallError } from '../wire/errors.ts';

export const callPath = '/dmas.Component/Call';
export const streamPath = '/dmas.Component/Stream';

/** Names of the metadata beside those of wire/meta.ts. The target is percent-encoded: metadata is ASCII. */
export const targetKey = 'dmas-target';
export const patternKey = 'dmas-pattern';
const errorKey = 'dmas-error-bin';

/** First byte of a message of a stream: a chunk, or the final output. */
export const chunkTag = 0x63;
export const outputTag = 0x6f;

/** Messages are Buffers already. */
export const asIs = (bytes: Buffer): Buffer => bytes;

/** HTTP/2's default window of 64 KB costs a round trip per 64 KB of a large body. */
const windowBytes = 4 * 1024 * 1024;
/** The meta that goes before a body is not part of the body's limit. */
const metaRoomBytes = 1024 * 1024;

export const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': bodyLimitBytes + metaRoomBytes,
  'grpc.max_send_message_length': bodyLimitBytes + metaRoomBytes,
  'grpc-node.flow_control_window': windowBytes,
};

export const addressOf = (at: BindAddress) =>
  'path' in at ? `unix:${at.path}` : `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`;

/** gRPC's own meaning of a code where there is one (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const statusOf: { readonly [code in CallErrorCode]: status } = {
  failed: status.UNKNOWN,
  invalid: status.INVALID_ARGUMENT,
  unknown: status.UNIMPLEMENTED,
  overloaded: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  deadline: status.DEADLINE_EXCEEDED,
  inputRequired: status.FAILED_PRECONDITION,
  cancelled: status.CANCELLED,
};

/** Trailers are header blocks and limited like them; larger details are left out, the rest of the error is not. */
const errorLimitBytes = 8 * 1024;

export function statusFor(error: CallError): { readonly code: status; readonly details: string; readonly metadata: Metadata } {
  const metadata = new Metadata();
  let bytes = Buffer.from(encodeCallError(error.value));
  if (bytes.length > errorLimitBytes) {
    const { details: _tooLarge, message, ...rest } = error.value;
    bytes = Buffer.from(encodeCallError({ ...rest, message: message.slice(0, errorLimitBytes / 4) }));
  }
  metadata.set(errorKey, bytes);
  return { code: statusOf[error.code], details: error.code, metadata };
}

/** What grpc-js says when it never had a connection to send the call on. */
const neverConnected = /^(No connection established|Name resolution failed|The channel has been closed)/;

/** The typed error of a failed call: ours from the trailers, else by the status. */
export function errorFrom(
  failure: { readonly code?: status; readonly details?: string; readonly metadata?: Metadata },
  target: string,
): CallError {
  const [bytes] = failure.metadata?.get(errorKey) ?? [];
  if (Buffer.isBuffer(bytes)) {
    try {
      const error = decodeCallError(JSON.parse(bytes.toString('utf8')));
      if (error !== undefined) return error;
    } catch {
      // Not ours after all.
    }
  }
  const entry = Object.entries(statusOf).find(([, code]) => code === failure.code);
  // We told our caller of our own cancelling already, so this is the peer's transport resetting the call.
  const code = failure.code === status.CANCELLED ? 'unavailable' : ((entry?.[0] ?? 'failed') as CallErrorCode);
  const details = failure.details ?? '';
  const neverStarted = code === 'unavailable' && neverConnected.test(details);
  return new CallError({
    code,
    message: `${target} answered with gRPC status ${failure.code}: ${details}`,
    ...(neverStarted ? { neverStarted } : {}),
  });
}
