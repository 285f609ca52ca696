import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Starts a server on a free port of the loopback interface. */
export async function urlOf(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const stream = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const json = (response: ServerResponse, status: number, body: unknown, headers: { [name: string]: string } = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

/** Ways in which model endpoints fail in the field. `turn` counts requests from 1. */
const behaviours = {
  busy: (response: ServerResponse) => json(response, 429, { error: { message: 'slow down' } }),
  crashing: (response: ServerResponse) => json(response, 500, { error: { message: 'out of memory' } }),
  unauthorized: (response: ServerResponse) => json(response, 401, { error: { message: 'wrong key sk-secret' } }),
  dying: (response: ServerResponse) => response.destroy(),
  dyingInStream: (response: ServerResponse) => {
    stream(response).write(chunk({ content: 'half' }));
    setTimeout(() => response.destroy(), 20);
  },
  endsEarly: (response: ServerResponse) => stream(response).end(chunk({ content: 'half' })),
  malformedChunk: (response: ServerResponse) => stream(response).end('data: {"choices": [\n\n'),
  errorInStream: (response: ServerResponse) => stream(response).end(`data: ${JSON.stringify({ error: { message: 'engine died' } })}\n\n`),
  notJson: (response: ServerResponse) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
  noChoice: (response: ServerResponse) => json(response, 200, { object: 'chat.completion', choices: [] }),
  recovering: (response: ServerResponse, turn: number) =>
    turn < 3
      ? json(response, 429, { error: { message: 'slow down' } }, { 'retry-after-ms': '5' })
      : json(response, 200, { choices: [{ index: 0, message: { role: 'assistant', content: 'back again' }, finish_reason: 'stop' }] }),
} as const satisfies Record<string, (response: ServerResponse, turn: number) => unknown>;

export async function brokenEndpoint(behaviour: keyof typeof behaviours) {
  let turn = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => behaviours[behaviour](response, ++turn));
  });
  const url = await urlOf(server);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url, requests: () => turn, close };
}
