import { createServer, type Server, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { Cluster } from './cluster.ts';

const loopback = '127.0.0.1';

/** A port of this machine behind which a port of a pod answers, through the API server. */
export interface Tunnel {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** What is used of a web socket of the client's; it has no types of its own here. */
interface Wire {
  close(): void;
  addEventListener(event: 'close' | 'error', listener: () => void): void;
}

/**
 * Listens here and carries each connection to a pod, over a web socket of its own.
 *
 * @param pick name of the pod that takes the next connection; none: the connection is closed
 * @param podPort asked anew for each connection where it may change
 * @param listenPort 0: any
 */
export async function openTunnel(
  cluster: Cluster,
  pick: () => string | undefined,
  podPort: number | (() => number),
  listenPort = 0,
): Promise<Tunnel> {
  const { PortForward } = await import('@kubernetes/client-node');
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => open.delete(socket));
    const pod = pick();
    if (pod === undefined) return void socket.destroy();
    const port = typeof podPort === 'number' ? podPort : podPort();
    // What the far end says of a port that refuses comes here; the connection is then of no use.
    const complaint = new Writable({
      write(chunk: Buffer, _, done) {
        if (chunk.length > 0) socket.destroy();
        done();
      },
    });
    const forwarded = new PortForward(cluster.config).portForward(cluster.namespace, pod, [port], socket, complaint, socket);
    forwarded.then(
      (given) => {
        const wire = given as unknown as Wire;
        wire.addEventListener('error', () => socket.destroy());
        wire.addEventListener('close', () => socket.end());
        if (socket.destroyed) wire.close();
        else socket.once('close', () => wire.close());
      },
      () => socket.destroy(),
    );
  });
  await listen(server, listenPort);
  const at = server.address();
  return {
    host: loopback,
    port: typeof at === 'object' && at !== null ? at.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, loopback, () => {
      server.off('error', reject);
      resolve();
    });
  });
