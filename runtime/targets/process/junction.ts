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

/** A port nobody listens on at this moment. */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const at = server.address();
      server.close(() => resolve(typeof at === 'object' && at !== null ? at.port : 0));
    });
  });
}
