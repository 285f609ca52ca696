import net from 'node:net';
import { builtInKind, type World } from '../api/world.ts';
import { backendsOf, isServing, targetPort } from '../controllers/endpoints.ts';
import { isObject, objectsAt, textAt } from '../state/json.ts';

/** Carries connections to a service's cluster address to one of its ready pods, each to the next. */
export class Balancer {
  private readonly servers = new Map<string, net.Server>();
  private readonly sockets = new Set<net.Socket>();
  private turn = 0;

  /** A controller: listens where services are. */
  readonly look = (world: World): void => {
    const wanted = new Set<string>();
    for (const service of world.store.list(builtInKind('Service'))) {
      const address = textAt(service, 'spec', 'clusterIP');
      if (address === undefined || address === 'None') continue;
      for (const port of objectsAt(service, 'spec', 'ports')) {
        const key = `${address}:${String(port.port)}`;
        wanted.add(key);
        if (!this.servers.has(key)) this.listen(world, key, address, Number(port.port), service.metadata.namespace, service.metadata.name);
      }
    }
    for (const [key, server] of this.servers) {
      if (wanted.has(key)) continue;
      server.close();
      this.servers.delete(key);
    }
  };

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await Promise.all([...this.servers.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  }

  private listen(world: World, key: string, address: string, port: number, namespace: string | undefined, name: string): void {
    const server = net.createServer((socket) => {
      const service = world.store.get(builtInKind('Service'), namespace, name);
      const pods = service ? backendsOf(world, service).filter(isServing) : [];
      const pod = pods[this.turn++ % Math.max(1, pods.length)];
      const said = objectsAt(service, 'spec', 'ports').find((each) => each.port === port);
      const target = pod && isObject(said) ? targetPort(said, pod) : null;
      if (!pod || target === null) {
        socket.resetAndDestroy();
        return;
      }
      const onward = net.connect({ host: textAt(pod, 'status', 'podIP') ?? '', port: target });
      for (const each of [socket, onward]) {
        this.sockets.add(each);
        each.setNoDelay(true);
        each.once('close', () => this.sockets.delete(each));
        each.once('error', () => {
          socket.destroy();
          onward.destroy();
        });
      }
      socket.pipe(onward).pipe(socket);
    });
    server.on('error', () => this.servers.delete(key));
    server.listen(port, address);
    this.servers.set(key, server);
  }
}
