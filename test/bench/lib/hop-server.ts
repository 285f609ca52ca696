// The callee of hops.ts, in a process of its own: every arm's server, addresses sent to the parent.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type AgentCard, Role } from '@a2a-js/sdk';
import {
  AgentEvent,
  type AgentExecutor,
  DefaultRequestHandler,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  ServerCallContext,
} from '@a2a-js/sdk/server';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { a2aProtocol } from '../../../runtime/protocols/a2a/protocol.ts';
import { grpcProtocol } from '../../../runtime/protocols/grpc/protocol.ts';
import { httpJsonProtocol } from '../../../runtime/protocols/http-json/protocol.ts';
import type { CallHandler } from '../../../runtime/protocols/protocol.ts';
import { listenAt } from '../../../runtime/protocols/wire/listen.ts';
import { bareGrpcPath } from './hop-paths.ts';

async function main(folder: string): Promise<void> {
  const echo: CallHandler = async (call) => call.body;
  const tcp = { host: '127.0.0.1', port: 0 };
  const addresses = {
    'http-json tcp': (await httpJsonProtocol.listen(tcp, echo, {})).at,
    'http-json unix': (await httpJsonProtocol.listen({ path: join(folder, 'ours.sock') }, echo, {})).at,
    'grpc tcp': (await grpcProtocol.listen(tcp, echo, {})).at,
    'a2a json-rpc': (await a2aProtocol.listen(tcp, echo, { binding: 'json-rpc' })).at,
    'a2a rest': (await a2aProtocol.listen(tcp, echo, { binding: 'rest' })).at,
    'a2a grpc': (await a2aProtocol.listen(tcp, echo, { binding: 'grpc' })).at,
    'bare a2a': await listenAt(bareA2a(), tcp),
    'bare http tcp': await listenAt(bareHttp(), tcp),
    'bare http unix': await listenAt(bareHttp(), { path: join(folder, 'bare.sock') }),
    'bare grpc tcp': { host: '127.0.0.1', port: await bareGrpc() },
  };
  process.send?.(addresses);
  process.on('disconnect', () => process.exit(0));
}

/** What one would write by hand: JSON in, JSON out, no more. */
function bareHttp() {
  return createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const text = JSON.stringify(JSON.parse(Buffer.concat(pieces).toString('utf8')));
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
}

/** The SDK's server with an agent that sends back what it gets. */
function bareA2a() {
  const part = { content: { $case: 'text', value: '' } as const, metadata: undefined, filename: '', mediaType: '' };
  const agent: AgentExecutor = {
    execute: async ({ userMessage }, bus) => {
      const value = userMessage.parts[0]?.content?.value;
      const parts = [{ ...part, content: { $case: 'data', value } as const }];
      bus.publish(AgentEvent.message({ ...userMessage, messageId: randomUUID(), role: Role.ROLE_AGENT, parts }));
    },
    cancelTask: async () => {},
  };
  const card = { supportedInterfaces: [], capabilities: { extensions: [] } } as unknown as AgentCard;
  const handler = new JsonRpcTransportHandler(new DefaultRequestHandler(card, new InMemoryTaskStore(), agent));
  return createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', async () => {
      const reply = await handler.handle(Buffer.concat(pieces).toString('utf8'), new ServerCallContext({ requestedVersion: '1.0' }));
      const text = JSON.stringify(reply);
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
}

function bareGrpc(): Promise<number> {
  const server = new Server();
  const serialize = (value: unknown) => Buffer.from(JSON.stringify(value));
  const deserialize = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8'));
  server.register<unknown, unknown>(
    bareGrpcPath,
    ((call: { request: unknown }, reply: (error: null, value: unknown) => void) => reply(null, call.request)) as never,
    serialize,
    deserialize,
    'unary',
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: hop-server <folder for sockets>');
await main(folder);
