import { request } from 'node:http';
import type { Socket } from 'node:net';
import { hostWord } from '../../compiler/contracts/outside-host.ts';

export interface ProxyAddress {
  readonly host: string;
  readonly port: number;
}

/** A call outside that the deployment does not allow, or that its way out could not make. */
export class EgressError extends Error {
  readonly code = 'ERR_EGRESS';
  readonly status: number;
  constructor(place: string, status: number, reason: string) {
    super(
      status === 403
        ? `${place} may not be called from here: ${reason}. Declare it where the tool is defined or under rights.hosts`
        : `${place} could not be reached: ${reason}`,
    );
    this.status = status;
  }
}

/** In this header of an answer the way out says why. */
export const reasonHeader = 'x-dmas-egress';

/** As long as undici waits for a connection. */
const connectTimeoutMs = 10_000;

/** A connection to a place outside, through the way out of this unit. @throws EgressError when it is refused */
export function openTunnel(proxy: ProxyAddress, host: string, port: number): Promise<Socket> {
  const place = hostWord({ host, port });
  return new Promise((resolve, reject) => {
    // Its own agent: the global one leads here.
    const asking = request({
      ...proxy,
      method: 'CONNECT',
      path: place,
      headers: { host: place },
      agent: false,
      createConnection: undefined,
    });
    const timer = setTimeout(() => asking.destroy(new EgressError(place, 504, 'no answer in time')), connectTimeoutMs);
    asking.once('connect', (response, socket: Socket, head) => {
      clearTimeout(timer);
      if (response.statusCode === 200) {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
        return;
      }
      socket.destroy();
      const reason = response.headers[reasonHeader];
      reject(new EgressError(place, response.statusCode ?? 502, typeof reason === 'string' ? reason : (response.statusMessage ?? '')));
    });
    asking.once('error', (error) => {
      clearTimeout(timer);
      reject(error instanceof EgressError ? error : new EgressError(place, 502, error.message));
    });
    asking.end();
  });
}
