import type { ServerResponse } from 'node:http';

/** Writes a web response to a Node one, an event stream piece by piece. `last`: the connection takes no further request. */
export async function sendResponse(reply: Response, response: ServerResponse, last: boolean): Promise<void> {
  if (response.destroyed) {
    await reply.body?.cancel();
    return;
  }
  const headers: string[] = [];
  reply.headers.forEach((value, name) => {
    // A web response may ask for what only the server can know.
    if (name !== 'connection') headers.push(name, value);
  });
  if (last) headers.push('connection', 'close');
  const streams = reply.body !== null && (reply.headers.get('content-type') ?? '').startsWith('text/event-stream');
  if (!streams) {
    const bytes = reply.body === null ? Buffer.alloc(0) : Buffer.from(await reply.arrayBuffer());
    response.writeHead(reply.status, [...headers, 'content-length', String(bytes.length)]);
    response.end(bytes);
    return;
  }
  response.writeHead(reply.status, headers);
  // Whoever waits for the headers of a stream that says nothing yet must get them.
  response.flushHeaders();
  const reader = reply.body.getReader();
  let goOn = () => {};
  response.on('drain', () => goOn());
  response.on('close', () => {
    goOn();
    reader.cancel().catch(() => {});
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done || response.destroyed) break;
    if (response.write(value)) continue;
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
  }
  response.end();
}
