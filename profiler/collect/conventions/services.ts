import type { ForeignAttributes, ForeignSpan } from '../foreign/span.ts';
import { type Convention, fill, quantity, type Reading, text } from './convention.ts';

/**
 * OpenTelemetry's RPC, HTTP, messaging and database conventions (stable names and those before), and Jaeger's `component` tag.
 * Source: https://opentelemetry.io/docs/specs/semconv/
 */
export const services: Convention = {
  id: 'services',
  read(span, reading) {
    const { attributes, kind } = span;
    const database = text(attributes, 'db.system.name', 'db.system', 'db.type');
    const messaging = text(attributes, 'messaging.system');
    const rpc = text(attributes, 'rpc.system.name', 'rpc.system');
    const http = text(attributes, 'http.request.method', 'http.method', 'http.url', 'url.full', 'http.route');
    const known = database !== undefined || messaging !== undefined || rpc !== undefined || http !== undefined;
    if (kind === 'producer' || kind === 'consumer' || messaging !== undefined) message(span, reading, messaging);
    else if (database !== undefined && kind !== 'server') useDatabase(attributes, reading, database);
    else if (kind === 'client') {
      fill(reading, 'act', 'call');
      if (reading.act === 'call') fill(reading, 'subject', peerOf(attributes));
    } else if (kind === 'server') fill(reading, 'act', 'serve');
    fill(reading, 'protocol', rpc ?? database ?? (http === undefined ? undefined : 'http'));
    if (!known) return kind === 'client' || kind === 'server' || kind === 'producer' || kind === 'consumer';
    const method = text(attributes, 'http.request.method', 'http.method');
    const route = text(attributes, 'http.route', 'url.template');
    if (route !== undefined) fill(reading, 'operation', method === undefined ? route : `${method} ${route}`);
    fill(reading, 'requestBytes', quantity(attributes, 'http.request.body.size', 'http.request_content_length', 'rpc.request.size'));
    fill(reading, 'responseBytes', quantity(attributes, 'http.response.body.size', 'http.response_content_length', 'rpc.response.size'));
    return true;
  },
};

/** Names by which a caller knows whom it calls, the most telling first. */
function peerOf(attributes: ForeignAttributes): string | undefined {
  const named = text(attributes, 'peer.service', 'service.peer.name');
  if (named !== undefined) return named;
  const host = text(attributes, 'server.address', 'net.peer.name', 'http.host', 'peer.hostname');
  if (host !== undefined) return hostName(host, text(attributes, 'server.port', 'net.peer.port'));
  const url = text(attributes, 'url.full', 'http.url');
  const fromUrl = url === undefined ? undefined : /^[a-z][a-z0-9+.-]*:\/\/(?:[^/@]*@)?([^/?#:]+)(?::(\d+))?/i.exec(url);
  if (fromUrl?.[1]) return hostName(fromUrl[1], fromUrl[2]);
  return text(attributes, 'rpc.service', 'network.peer.address', 'net.peer.ip', 'net.sock.peer.addr', 'peer.address');
}

const clusterSuffix = /\.svc(\.cluster\.local)?\.?$/;
const loopback = /^(localhost|127\.|\[?::1)/;

/** On one machine only the port tells services apart; elsewhere the name does. */
function hostName(host: string, port: string | undefined): string {
  const bare = host.replace(clusterSuffix, '');
  return port !== undefined && loopback.test(bare) && !bare.includes(`:${port}`) ? `${bare}:${port}` : bare;
}

function useDatabase(attributes: ForeignAttributes, reading: Reading, system: string): void {
  fill(reading, 'act', 'database');
  if (reading.act !== 'database') return;
  const named = text(attributes, 'peer.service') ?? text(attributes, 'db.namespace', 'db.name', 'db.instance');
  fill(reading, 'subject', named === undefined || named === system ? system : `${system}/${named}`);
}

function message({ attributes, kind }: ForeignSpan, reading: Reading, system: string | undefined): void {
  const topic = text(attributes, 'messaging.destination.name', 'messaging.destination', 'message_bus.destination');
  // Settling, creating and receiving are work around the message; who handles it is told by the consumer.
  const operation = text(attributes, 'messaging.operation.type', 'messaging.operation');
  if (kind === 'producer' || ((operation === 'publish' || operation === 'send') && kind === 'client')) {
    fill(reading, 'act', 'queue');
    reading.oneWay = true;
  } else if (kind === 'consumer') {
    fill(reading, 'act', 'serve');
    reading.oneWay = true;
  } else fill(reading, 'act', 'frame');
  if (reading.act === 'queue') fill(reading, 'subject', topic ?? system ?? 'queue');
  fill(reading, 'protocol', system ?? 'messaging');
  fill(
    reading,
    'requestBytes',
    quantity(attributes, 'messaging.message.body.size', 'messaging.message.envelope.size', 'messaging.message.payload_size_bytes'),
  );
}
