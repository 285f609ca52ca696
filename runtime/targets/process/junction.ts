import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { ReplicaAddress } from '../../../compiler/contracts/index.ts';

/**
 * One port that stays while what is behind it comes, goes and multiplies: what a foreign program is told of a neighbour.
 * Takes connections and carries each to the replica with the fewest, whatever is spoken.
 */
export interface Junction {
  readonly port: number;
  /** Where the replicas are now; connections that are open stay where they are. */
  update(replicas: readonly ReplicaAddress[]): void;
  close(): Promise<void>;
}

/** While everything starts, the first replica may take this long; later a connection without one is refused at once. */
const firstReplicaMs = 30_000;

export async function openJunction(host: string): Promise<Junction> {
  const open = new Set<Socket>();
  const load = new Map<string, number>();
  let replicas: readonly ReplicaAddress[] = [];
  let known = false;
  let arrived: () => void = () => {};
  const firstArrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const hold = (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  };
  const join = (incoming: Socket) => {
    const chosen = leastLoaded(replicas, load);
    if (chosen === undefined || incoming.destroyed) {
      incoming.destroy();
      return;
    }
    const outgoing = hold(connect(chosen.at));
    load.set(chosen.instanceId, (load.get(chosen.instanceId) ?? 0) + 1);
    outgoing.setNoDelay(true);
    outgoing.once('close', () => load.set(chosen.instanceId, (load.get(chosen.instanceId) ?? 1) - 1));
    outgoing.on('error', () => incoming.destroy());
    incoming.on('error', () => outgoing.destroy());
    incoming.once('close', () => outgoing.destroy());
    outgoing.once('close', () => incoming.destroy());
    incoming.pipe(outgoing).pipe(incoming);
  };
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (incoming) => {
    hold(incoming).on('error', () => {});
    if (known) return join(incoming);
    const timer = setTimeout(() => incoming.destroy(), firstReplicaMs);
    incoming.once('close', () => clearTimeout(timer));
    void firstArrival.then(() => {
      clearTimeout(timer);
      join(incoming);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const at = server.address();
  return {
    port: typeof at === 'object' && at !== null ? at.port : 0,
    update(now) {
      replicas = now;
      for (const instanceId of load.keys()) if (!now.some((replica) => replica.instanceId === instanceId)) load.delete(instanceId);
      if (now.length === 0 || known) return;
      known = true;
      arrived();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function leastLoaded(replicas: readonly ReplicaAddress[], load: ReadonlyMap<string, number>): ReplicaAddress | undefined {
  const loadOf = ({ instanceId }: ReplicaAddress) => load.get(instanceId) ?? 0;
  return replicas.reduce<ReplicaAddress | undefined>(
    (best, next) => (best === undefined || loadOf(next) < loadOf(best) ? next : best),
    undefined,
  );
}

/** Ports given out by this process: what they were given to may not listen yet. */
const given = new Set<number>();
/** How many ports below the kernel's own are chosen from, and how often. */
const reservable = 20_000;
const attempts = 100;

/**
 * A port for a program that will listen on it a while later. It is not one of those the kernel gives to outgoing connections
 * and to listeners that do not care: until the program has started, a busy host would have taken it.
 *
 * @throws Error when no port is free
 */
export async function freePort(host: string): Promise<number> {
  const above = ephemeralFrom();
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = randomInt(Math.max(1024, above - reservable), above);
    if (given.has(port)) continue;
    // Before the question, so that nobody who asks meanwhile gets it too.
    given.add(port);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no port below ${above} is free`);
}

/** First port of the kernel's own range (Linux, `ip_local_port_range`); 32768 is Linux's default, and below that of others. */
function ephemeralFrom(): number {
  try {
    const first = Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
    return first > 2048 ? first : 32_768;
  } catch {
    return 32_768;
  }
}

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
