import type { Socket } from 'node:net';
import { ServerCallContext, UnauthenticatedUser } from '@a2a-js/sdk/server';
import { A2AService, type GrpcServiceOptions, grpcService } from '@a2a-js/sdk/server/grpc';
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js';
import type { CallError } from '../../../compiler/contracts/index.ts';
import { cancelledError, deadlineError } from '../wire/errors.ts';
import { type Exchange, exchangeState } from './exchange.ts';
import { channelOptions } from './grpc-options.ts';
import type { Agents } from './serving.ts';

const lastWordsMs = 250;

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

export async function grpcAgents(agents: Agents, legacy: boolean): Promise<GrpcAgents> {
  const server = new Server(channelOptions);
  const options: GrpcServiceOptions = {
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
  };
  server.addService(A2AService, grpcService(options));
  if (legacy) {
    const { LegacyA2AService, legacyGrpcService } = await import('@a2a-js/sdk/compat/v0_3/server/grpc');
    server.addService(LegacyA2AService, legacyGrpcService(options));
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    take: (socket) => injector.injectConnection(socket),
    async close(force) {
      if (force) injector.destroy();
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      // Answers still get out; who only follows a task that waits for its person is not waited for.
      const timer = setTimeout(() => server.forceShutdown(), force ? 0 : lastWordsMs);
      await closed;
      clearTimeout(timer);
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
