import type { ChannelOptions } from '@grpc/grpc-js';
import { bodyLimitBytes } from '../wire/body.ts';

/** Room for the envelope and the metadata around a body. */
const roomBytes = 4 * 1024 * 1024;
/** HTTP/2's default window of 64 KB costs a round trip per 64 KB of a large body. */
const windowBytes = 4 * 1024 * 1024;

export const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': bodyLimitBytes + roomBytes,
  'grpc.max_send_message_length': bodyLimitBytes + roomBytes,
  'grpc-node.flow_control_window': windowBytes,
};
