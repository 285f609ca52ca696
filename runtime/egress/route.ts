import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { buildConnector } from 'undici';
import { type EgressError, openTunnel, type ProxyAddress } from './tunnel.ts';

/** How calls leave this process. There is one way out of a process, so this is a fact of the process. */
interface Route {
  /** Undefined until the deployment has said where it is. */
  proxy: ProxyAddress | undefined;
  /** Hosts of this deployment, which are called directly. */
  inside: ReadonlySet<string>;
}

let route: Route | undefined;

/** Sends everything but calls to `inside` and to this machine through a proxy; undefined: out directly, as without this. */
export function setRoute(next: Route | undefined): void {
  route = next;
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/** Bare: without the brackets of an IPv6 address in a URL, and without a dot at its end. */
const bare = (host: string): string =>
  host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();

/** Where a call to this host has to go. @throws EgressError while nobody has said where the way out is */
function wayTo(host: string): ProxyAddress | 'direct' {
  if (route === undefined || loopback.test(bare(host)) || route.inside.has(bare(host))) return 'direct';
  if (route.proxy === undefined) throw new Error(`${host} cannot be called yet: this unit has not been told its way out`);
  return route.proxy;
}

/** For pools and agents of undici: connects directly inside the deployment, through the way out to everywhere else. */
export function outsideConnector(options: buildConnector.BuildOptions = {}): buildConnector.connector {
  const direct = buildConnector(options);
  return (target, callback) => {
    through(target.hostname, Number(target.port || (target.protocol === 'https:' ? 443 : 80))).then(
      (socket) => {
        if (socket === 'direct') direct(target, callback);
        else if (target.protocol === 'https:') direct({ ...target, httpSocket: socket }, callback);
        else callback(null, socket);
      },
      (error: Error | EgressError) => callback(error, null),
    );
  };
}

async function through(host: string, port: number) {
  const way = wayTo(host);
  return way === 'direct' ? way : openTunnel(way, bare(host), port);
}

/** A connection to a place outside for Node's own clients; null where it may be made directly. */
export async function openOutside(host: string, port: number, tls: ConnectionOptions | null) {
  const socket = await through(host, port);
  if (socket === 'direct') return null;
  if (tls === null) return socket;
  const secure = connectTls({ ...tls, socket, servername: tls.servername ?? bare(host) });
  // Whoever asked waits for the connection as it waits for any other.
  return secure;
}
