import { connect, createServer, type Socket } from 'node:net';

/** Carries connections made to the gateway of a container network on to a port of this machine's loopback. */
export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects where the gateway is not an address of this machine, as with an engine in a virtual machine. */
export function openRelay(gateway: string, to: { readonly host: string; readonly port: number }): Promise<Relay> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((incoming) => {
    const outgoing = keep(connect(to));
    keep(incoming).pipe(outgoing).pipe(incoming);
    incoming.on('error', () => outgoing.destroy());
    outgoing.on('error', () => incoming.destroy());
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
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}
