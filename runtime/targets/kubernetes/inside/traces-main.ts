/**
 * Runs in the cluster: takes spans by OTLP/HTTP as they come and keeps the requests until they are fetched (`GET /drain`),
 * because pods cannot call the machine that measures.
 */
import { createServer } from 'node:http';
import { type HeldTraces, holdLimitBytes, tracesPort } from './traces.ts';

let held: HeldTraces['requests'][number][] = [];
let heldBytes = 0;
let dropped = 0;

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const { method, url } = request;
    if (method === 'GET' && url === '/readyz') return void response.writeHead(200).end('ok');
    if (method === 'POST' && url === '/drain') {
      const drained: HeldTraces = { requests: held, dropped };
      held = [];
      heldBytes = 0;
      dropped = 0;
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(drained));
    }
    if (method !== 'POST' || url !== '/v1/traces') return void response.writeHead(404).end();
    const body = Buffer.concat(pieces);
    if (heldBytes + body.length > holdLimitBytes) dropped += 1;
    else {
      heldBytes += body.length;
      held.push({
        contentType: request.headers['content-type'] ?? 'application/x-protobuf',
        ...(request.headers['content-encoding'] === undefined ? {} : { contentEncoding: request.headers['content-encoding'] }),
        body: body.toString('base64'),
      });
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});
server.listen(tracesPort, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
