import { unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import type { BindAddress } from '../../../compiler/contracts/index.ts';

/** Starts a server on a TCP address (port 0: any free one) or a unix socket and says where it listens. */
export async function listenAt(server: Server, at: BindAddress): Promise<BindAddress> {
  try {
    await listenOnce(server, at);
  } catch (error) {
    if (!('path' in at) || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || (await answers(at.path))) throw error;
    // A process that was killed leaves its socket file behind; nobody answers on it.
    await unlink(at.path);
    await listenOnce(server, at);
  }
  if ('path' in at) return at;
  const address = server.address();
  return { host: at.host, port: typeof address === 'object' && address !== null ? address.port : at.port };
}

function listenOnce(server: Server, at: BindAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
