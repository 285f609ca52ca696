import http, { type ClientRequestArgs, Agent as PlainAgent } from 'node:http';
import https, { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { Agent, getGlobalDispatcher, setGlobalDispatcher } from 'undici';
import type { LogicalAddress, Peers, ProcessBinding } from '../../compiler/contracts/index.ts';
import { proxyVariables } from '../../compiler/plan/proxy-variables.ts';
import { openOutside, outsideConnector, setRoute } from './route.ts';

/** The way out of a unit whose calls leave through the egress service. */
export interface Egress {
  /** Takes in where the members of the deployment are. */
  update(peers: Peers): void;
  /** The address nobody has told yet. */
  missing(): readonly LogicalAddress[];
  close(): void;
}

const none: Egress = { update: () => {}, missing: () => [], close: () => {} };

/**
 * Makes everything of this process that calls outside go through the unit's listener of the egress service: `fetch`,
 * undici, `node:http` and `node:https`, our own clients, and, by environment variables, gRPC and programs it starts.
 * Calls between units stay direct. Whoever connects by other means is held back by the networks of the target alone.
 */
export function installEgress(address: LogicalAddress | undefined, binding: Pick<ProcessBinding, 'otlpEndpoints'>): Egress {
  if (address === undefined) return none;
  const receivers = binding.otlpEndpoints.map((endpoint) => new URL(endpoint).hostname);
  const before = { dispatcher: getGlobalDispatcher(), plain: http.globalAgent, tls: https.globalAgent };
  let known: Peers = {};
  const proxyOf = () => {
    const at = known[address]?.[0]?.at;
    return at !== undefined && 'host' in at ? at : undefined;
  };
  const take = (peers: Peers) => {
    known = { ...known, ...peers };
    const inside = new Set([...receivers, ...hostsIn(known)]);
    const proxy = proxyOf();
    setRoute({ proxy, inside });
    if (proxy !== undefined) Object.assign(process.env, proxyVariables(`http://${proxy.host}:${proxy.port}`, [...inside]));
  };
  take({});
  const dispatcher = new Agent({ connect: outsideConnector() });
  setGlobalDispatcher(dispatcher);
  http.globalAgent = new OutsidePlainAgent({ keepAlive: true });
  https.globalAgent = new OutsideTlsAgent({ keepAlive: true });
  return {
    update: take,
    missing: () => (proxyOf() === undefined ? [address] : []),
    close: () => {
      setRoute(undefined);
      setGlobalDispatcher(before.dispatcher);
      http.globalAgent = before.plain;
      https.globalAgent = before.tls;
      void dispatcher.destroy();
    },
  };
}

const hostsIn = (peers: Peers): readonly string[] =>
  Object.values(peers)
    .flat()
    .flatMap(({ at }) => ('host' in at ? at.host : []));

type Created = (error: Error | null, socket?: Duplex) => void;

/** Node's agents take a connection later through a callback where they are given none at once. */
class OutsidePlainAgent extends PlainAgent {
  override createConnection(options: ClientRequestArgs, created: Created): undefined {
    connectOutside(options, null, created, () => super.createConnection(options as never, created as never));
  }
}

class OutsideTlsAgent extends TlsAgent {
  override createConnection(options: ClientRequestArgs, created: Created): undefined {
    connectOutside(options, options as ConnectionOptions, created, () => super.createConnection(options as never, created as never));
  }
}

function connectOutside(
  { host, hostname, port, socketPath }: ClientRequestArgs,
  tls: ConnectionOptions | null,
  created: Created,
  direct: () => unknown,
): void {
  const passOn = () => {
    const socket = direct() as Duplex | undefined;
    if (socket !== undefined) created(null, socket);
  };
  if (socketPath) passOn();
  else
    openOutside(hostname ?? host ?? 'localhost', Number(port ?? (tls === null ? 80 : 443)), tls).then((socket) => {
      if (socket === null) passOn();
      else created(null, socket);
    }, created);
}
