import type { Socket } from 'node:net';
import { ServerCallContext, UnauthenticatedUser } from '@a2a-js/sdk/server';
import { A2AService, grpcService } from '@a2a-js/sdk/server/grpc';
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js';
import type { CallError } from '../../../compiler/contracts/index.ts';
import { cancelledError, deadlineError } from '../wire/errors.ts';
import { type Exchange, exchangeState } from './exchange.ts';
import { channelOptions } from './grpc-options.ts';
import type { Agents } from './serving.ts';

type GrpcCall = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

/** Carries the call from where the SDK shows it to where it makes the context. */
class GrpcUser extends UnauthenticatedUser {
  readonly call: GrpcCall;
  constructor(call: GrpcCall) {
    super();
    this.call = call;
  }
}

export interface GrpcAgents {
  /** Takes a connection that was accepted elsewhere. */
  take(socket: Socket): void;
  /** Waits for calls to end, or ends them. */
  close(force: boolean): Promise<void>;
}

export function grpcAgents(agents: Agents): GrpcAgents {
  const server = new Server(channelOptions);
  server.addService(
    A2AService,
    grpcService({
      requestHandler: agents,
      userBuilder: async (call) => new GrpcUser(call),
      contextBuilder: ({ extensions, user, requestedVersion, tenant }) =>
        new ServerCallContext({
          ...(extensions === undefined ? {} : { requestedExtensions: extensions }),
          state: user instanceof GrpcUser ? exchangeState(exchangeFor(user.call)) : new Map(),
          ...(user === undefined ? {} : { user }),
          ...(requestedVersion === undefined ? {} : { requestedVersion }),
          ...(tenant ? { tenant } : {}),
        }),
    }),
  );
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    take: (socket) => injector.injectConnection(socket),
    async close(force) {
      if (force) injector.destroy();
      else injector.drain(0);
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      if (force) server.forceShutdown();
      await closed;
    },
  };
}

function exchangeFor(call: GrpcCall): Exchange {
  return {
    component: undefined,
    header: (name) => {
      if (name === 'host') return call.getHost();
      const [value] = call.metadata.get(name);
      return typeof value === 'string' ? value : undefined;
    },
    parseMs: 0,
    onGone: (stop: (error: CallError) => void) => {
      const gone = () => stop(Date.now() >= Number(call.getDeadline()) ? deadlineError('the callee') : cancelledError('the callee'));
      if (call.cancelled) gone();
      else call.once('cancelled', gone);
    },
  };
}
