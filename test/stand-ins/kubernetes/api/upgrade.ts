import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { objectsAt, textAt } from '../state/json.ts';
import { askedBy, readPath } from './request.ts';
import { may, refusal, rightsOf } from './rights.ts';
import { forbidden, noSuchPath, notFound, Refusal, unauthorized } from './status.ts';
import type { World } from './world.ts';

/** Newest first; all carry the same channels for port-forward. */
const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];
const sockets = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
});

/** Answers requests for a web socket: the forwarding of a pod's ports. */
export async function serveUpgrade(world: World, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    const { host, ports } = forwardOf(world, request);
    const offered = String(request.headers['sec-websocket-protocol'] ?? '')
      .split(',')
      .map((each) => each.trim());
    if (!offered.some((each) => protocols.includes(each))) {
      // SPDY in a web socket, which kubectl tries first: it then asks for plain SPDY.
      throw new Refusal(403, 'Forbidden', `unable to negotiate websocket protocol: ${offered.join(', ')}`);
    }
    sockets.handleUpgrade(request, socket, head, (client) => forward(client, host, ports));
  } catch (error) {
    const refused = error instanceof Refusal ? error : new Refusal(500, '', String(error));
    const body = JSON.stringify(refused.status);
    socket.end(
      `HTTP/1.1 ${refused.code} ${refused.status.reason ?? 'Error'}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
}

function forwardOf(world: World, request: IncomingMessage): { readonly host: string; readonly ports: readonly number[] } {
  const url = new URL(request.url ?? '/', 'https://stand-in');
  const target = readPath(world, url.pathname);
  if (target?.resource.kind !== 'Pod' || target.subresource !== 'portforward') throw noSuchPath();
  const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const user = world.users.get(token);
  if (!user) throw unauthorized();
  const asked = askedBy({
    ...target,
    method: 'POST',
    query: url.searchParams,
    contentType: '',
    accept: '',
    userAgent: '',
    body: Buffer.alloc(0),
    user,
  });
  const subject = { ...target.resource, name: target.name };
  const rights = rightsOf(world, user);
  if (!may(rights, asked) && !may(rights, { ...asked, verb: 'get' })) throw forbidden(subject, refusal(user, asked));
  const pod = world.store.get(target.resource, target.namespace, target.name);
  if (!pod) throw notFound(subject);
  const running = objectsAt(pod, 'status', 'containerStatuses').some(({ state }) => textAt(state, 'running', 'startedAt') !== undefined);
  if (!running)
    throw new Refusal(
      400,
      'BadRequest',
      `unable to forward port because pod is not running. Current status=${textAt(pod, 'status', 'phase')}`,
    );
  const ports = url.searchParams
    .getAll('ports')
    .flatMap((text) => text.split(','))
    .map(Number);
  return { host: textAt(pod, 'status', 'podIP') ?? '', ports };
}

/** Two channels for each port, data and errors; each begins with the port in two bytes. */
function forward(client: WebSocket, host: string, ports: readonly number[]): void {
  const onward = ports.map((port, index) => {
    const [data, errors] = [index * 2, index * 2 + 1];
    const announce = Buffer.alloc(2);
    announce.writeUInt16LE(port);
    const say = (channel: number, bytes: Buffer) => {
      if (client.readyState === client.OPEN) client.send(Buffer.concat([Buffer.from([channel]), bytes]));
    };
    say(data, announce);
    say(errors, announce);
    const socket = net.connect({ host, port });
    socket.setNoDelay(true);
    socket.on('data', (bytes) => say(data, bytes));
    socket.once('error', (error) => say(errors, Buffer.from(`error forwarding port ${port} to pod, uid : ${error.message}`)));
    socket.once('close', () => client.close());
    return socket;
  });
  client.on('message', (message: Buffer) => {
    const channel = message[0] ?? 0;
    // 255 closes a channel (v5).
    if (channel === 255) onward[(message[1] ?? 0) >> 1]?.end();
    else if (channel % 2 === 0) onward[channel >> 1]?.write(message.subarray(1));
  });
  client.once('close', () => {
    for (const socket of onward) socket.end();
  });
  client.once('error', () => client.terminate());
}
