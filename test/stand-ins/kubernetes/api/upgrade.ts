import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { World } from './world.ts';

/** Answers requests for a websocket: port-forward. */
export async function serveUpgrade(_world: World, _request: IncomingMessage, socket: Duplex, _head: Buffer): Promise<void> {
  socket.end('HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n');
}
