import dgram from 'node:dgram';
import type { AddressInfo } from 'node:net';
import { builtInKind, type World } from '../api/world.ts';
import { backendsOf, isServing } from '../controllers/endpoints.ts';
import { objectAt, textAt } from '../state/json.ts';

export interface NameServer {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Addresses of `service.namespace.svc.cluster.local` or of one pod behind it; null where there is no such name. */
export function addressesOf(world: World, name: string): readonly string[] | null {
  const parts = name
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/\.svc\.cluster\.local$/, '')
    .split('.');
  const [namespace = '', service = '', host] = parts.reverse();
  const found = world.store.get(builtInKind('Service'), namespace, service);
  if (!found) return null;
  const pods = backendsOf(world, found);
  const shown = objectAt(found, 'spec').publishNotReadyAddresses === true ? pods : pods.filter(isServing);
  const ip = textAt(found, 'spec', 'clusterIP');
  if (host === undefined && ip !== 'None' && ip !== undefined) return [ip];
  const wanted =
    host === undefined
      ? shown
      : shown.filter((pod) => textAt(pod, 'spec', 'hostname') === host && textAt(pod, 'spec', 'subdomain') === service);
  return wanted.map((pod) => textAt(pod, 'status', 'podIP') ?? '').filter((address) => address !== '');
}

/** Answers DNS questions (RFC 1035) for IPv4 addresses of services; a headless one has one for each ready pod. */
export async function startNameServer(world: World): Promise<NameServer> {
  const socket = dgram.createSocket('udp4');
  // Every process asks for all its names each second, and seldom does anything change meanwhile.
  const known = new Map<string, readonly string[] | null>();
  let version = -1;
  const resolve = (name: string): readonly string[] | null => {
    if (version !== world.store.version) known.clear();
    version = world.store.version;
    const addresses = known.get(name) ?? (known.has(name) ? null : addressesOf(world, name));
    known.set(name, addresses);
    return addresses;
  };
  socket.on('message', (message, from) => {
    const answer = answerTo(resolve, message);
    if (answer) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(socket.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

const typeA = 1;
const noSuchName = 3;

function answerTo(resolve: (name: string) => readonly string[] | null, message: Buffer): Buffer | null {
  if (message.length < 17) return null;
  const labels: string[] = [];
  let at = 12;
  for (let size = message[at] ?? 0; size > 0; size = message[at] ?? 0) {
    labels.push(message.toString('ascii', at + 1, at + 1 + size));
    at += size + 1;
  }
  const question = message.subarray(12, at + 5);
  const addresses = resolve(labels.join('.'));
  const answers = message.readUInt16BE(at + 1) === typeA ? (addresses ?? []) : [];
  const head = Buffer.alloc(12);
  message.copy(head, 0, 0, 2);
  // A response that is authoritative, and says that recursion was wanted and is to be had.
  head.writeUInt16BE(0x8580 | (addresses === null ? noSuchName : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  const records = answers.map((address) => Buffer.from([0xc0, 12, 0, typeA, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)]));
  return Buffer.concat([head, question, ...records]);
}
