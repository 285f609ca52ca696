import { createServer } from 'node:http';
import { type Forward, forwardedHeaders } from './forward.ts';

/** The way of traces out of a container network. */
export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Takes what containers export at the gateway of their network, which is an address of this machine, and sends it on.
 * Rejects where the gateway is not: with an engine on another or in a virtual machine.
 */
export function openRelay(gateway: string, forward: Forward): Promise<Relay> {
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('error', () => outgoing.destroy());
    incoming.on('end', async () => {
      const headers = Object.fromEntries(
        forwardedHeaders.flatMap((name) => (incoming.headers[name] ? [[name, incoming.headers[name]]] : [])),
      );
      const reply = await forward({ path: incoming.url ?? '', headers, body: Buffer.concat(parts) });
      outgoing.writeHead(reply.status).end(reply.body);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, gateway, () => {
      const at = server.address();
      resolve({
        port: at && typeof at === 'object' ? at.port : 0,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}
