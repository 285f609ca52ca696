import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Kubelet } from '../kubelet/kubelet.ts';
import type { JsonObject, KubeObject } from '../state/json.ts';
import { control } from './control.ts';
import { aggregated, aggregatedType, groupList, groupOf, hasGroup, resourceList, versionInfo, wantsAggregated } from './discovery.ts';
import { faultRefusal } from './fault-refusals.ts';
import { serveLog } from './log.ts';
import { openApiIndex, openApiOf } from './openapi.ts';
import { openApiV2, openApiV2Type } from './openapi-v2.ts';
import { getOne, list, selectorOf, watch } from './read.ts';
import { removalOf, remove, removeNamed } from './remove.ts';
import { type ApiRequest, askedBy, isTrue, readPath, subjectOf, verbOf } from './request.ts';
import { may, refusal, rightsOf, type User } from './rights.ts';
import { forbidden, internal, noSuchPath, notAllowed, Refusal, unauthorized } from './status.ts';
import { evict, readScale, review, writeScale } from './subresources.ts';
import { asTable, wantsPartial, wantsTable } from './table.ts';
import type { World } from './world.ts';
import { create, patch, update, type Written } from './write.ts';

/** Answers one request. */
export async function answer(
  world: World,
  kubelet: Kubelet,
  open: Set<ServerResponse>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'https://stand-in');
    const body = await read(request);
    if (url.pathname.startsWith('/stand-in/')) return send(response, 200, control(world, request.method ?? 'GET', url.pathname, body));
    const user = userOf(world, request);
    const document = documents(world, url, request.headers.accept ?? '');
    if (document) return send(response, 200, document.body, { 'content-type': document.type });
    const target = readPath(world, url.pathname);
    if (!target) throw noSuchPath();
    await answerApi(world, kubelet, open, response, {
      ...target,
      method: request.method ?? 'GET',
      query: url.searchParams,
      contentType: (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim() ?? '',
      accept: request.headers.accept ?? '',
      userAgent: request.headers['user-agent'] ?? '',
      body,
      user,
    });
  } catch (error) {
    if (error instanceof HangUp) {
      request.socket.destroy();
      return;
    }
    const refused = error instanceof Refusal ? error : internal(error instanceof Error ? (error.stack ?? error.message) : String(error));
    if (!response.headersSent) send(response, refused.code, refused.status, refused.headers);
    else response.destroy();
  }
}

class HangUp extends Error {}

async function answerApi(
  world: World,
  kubelet: Kubelet,
  open: Set<ServerResponse>,
  response: ServerResponse,
  request: ApiRequest,
): Promise<void> {
  const asked = askedBy(request);
  await meetFault(world, request);
  if (!may(rightsOf(world, request.user), asked)) throw forbidden(subjectOf(request), refusal(request.user, asked));
  const { resource, subresource, method, name } = request;
  if (subresource !== '' && !resource.subresources.includes(subresource)) throw noSuchPath();
  if (resource.group === 'authorization.k8s.io' || resource.group === 'authentication.k8s.io')
    return send(response, 201, review(world, request));
  if (subresource === 'log') return serveLog(world, kubelet, request, response);
  if (subresource === 'scale') return send(response, 200, method === 'GET' ? readScale(world, request) : writeScale(world, request));
  if (subresource === 'eviction') return send(response, 201, evict(world, request));
  if (subresource !== '' && subresource !== 'status') throw notAllowed();
  switch (verbOf(request)) {
    case 'get':
      if (isTrue(request.query.get('watch'))) return watch(world, request, response, open);
      return sendObject(response, request, 200, getOne(world, request));
    case 'list':
      return sendList(response, request, list(world, request));
    case 'watch':
      return watch(world, request, response, open);
    case 'create':
      if (name !== '') throw notAllowed();
      return sendWritten(response, request, create(world, request));
    case 'update':
      return sendWritten(response, request, update(world, request));
    case 'patch':
      return sendWritten(response, request, patch(world, request));
    case 'delete': {
      const { object, gone } = removeNamed(world, request);
      if (!gone || resource.kind === 'Pod') return send(response, 200, object);
      const details = {
        name,
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.plural,
        uid: object.metadata.uid,
      };
      return send(response, 200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
    }
    default:
      return sendList(response, request, removeMany(world, request));
  }
}

function removeMany(world: World, request: ApiRequest): JsonObject {
  const passes = selectorOf(request);
  const removal = removalOf(request);
  const found = world.store.list(request.resource, request.namespace === '' ? undefined : request.namespace).filter(passes);
  if (!removal.dry) for (const object of found) remove(world, request.resource, object, removal);
  return {
    kind: `${request.resource.kind}List`,
    apiVersion: 'v1',
    metadata: { resourceVersion: String(world.store.version) },
    items: found,
  };
}

async function meetFault(world: World, request: ApiRequest): Promise<void> {
  const asked = askedBy(request);
  const fault = world.faults.meet(asked);
  if (!fault) return;
  if (fault.kind === 'hang-up') throw new HangUp();
  if (fault.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.delayMs ?? 1_000));
  const refused = faultRefusal(fault, subjectOf(request), asked.verb);
  if (refused) throw refused;
}

function userOf(world: World, request: IncomingMessage): User {
  const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) return { name: 'system:anonymous', groups: ['system:unauthenticated'], rights: [] };
  const user = world.users.get(token);
  if (!user) throw unauthorized();
  return user;
}

interface Document {
  readonly body: JsonObject | string | Buffer;
  readonly type: string;
}

/** What is answered without looking at objects. */
function documents(world: World, url: URL, accept: string): Document | null {
  const plain = (body: JsonObject | string): Document => ({
    body,
    type: typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json',
  });
  const [root = '', second = '', third = '', ...more] = url.pathname.split('/').filter((part) => part !== '');
  if (root === 'version') return plain(versionInfo(world));
  if (['healthz', 'livez', 'readyz'].includes(root)) return plain('ok');
  if (root === 'api' && second === '') {
    return wantsAggregated(accept)
      ? { body: aggregated(world, true), type: aggregatedType }
      : plain({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] });
  }
  if (root === 'api' && third === '') return plain(resourceList(world, '', second));
  if (root === 'apis' && second === '')
    return wantsAggregated(accept) ? { body: aggregated(world, false), type: aggregatedType } : plain(groupList(world));
  if (root === 'apis' && third === '' && hasGroup(world, second))
    return plain({ kind: 'APIGroup', apiVersion: 'v1', ...groupOf(world, second) });
  if (root === 'apis' && more.length === 0 && hasGroup(world, second, third)) return plain(resourceList(world, second, third));
  if (root === 'openapi' && second === 'v2') return { body: openApiV2(world), type: openApiV2Type };
  if (root !== 'openapi' || second !== 'v3') return null;
  if (third === '') return plain(openApiIndex(world));
  const [group, version] = third === 'api' ? ['', more[0] ?? ''] : [more[0] ?? '', more[1] ?? ''];
  return hasGroup(world, group, version) ? plain(openApiOf(world, group, version)) : null;
}

function send(response: ServerResponse, code: number, body: JsonObject | string | Buffer, headers: { [name: string]: string } = {}): void {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(code, { 'content-type': 'application/json', ...headers, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function sendObject(
  response: ServerResponse,
  request: ApiRequest,
  code: number,
  object: KubeObject,
  headers: { [name: string]: string } = {},
): void {
  send(response, code, shownAs(request, object), headers);
}

/** An object in the form a client asks for. */
function shownAs({ resource, accept, query }: ApiRequest, object: KubeObject): JsonObject {
  if (wantsTable(accept)) return asTable(resource, [object], object.metadata.resourceVersion, query.get('includeObject'));
  return wantsPartial(accept) ? partialOf(object) : object;
}

const partialOf = ({ metadata }: KubeObject): JsonObject => ({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata });

function sendWritten(response: ServerResponse, request: ApiRequest, { code, object, warnings }: Written): void {
  const header = warnings.map((each) => `299 - "${each.replaceAll('"', '\\"')}"`).join(', ');
  sendObject(response, request, code, object, header === '' ? {} : { warning: header });
}

function sendList(response: ServerResponse, request: ApiRequest, found: JsonObject): void {
  send(response, 200, listShownAs(request, found));
}

function listShownAs({ resource, accept, query }: ApiRequest, found: JsonObject): JsonObject {
  const items = found.items as KubeObject[];
  const { metadata } = found;
  if (wantsTable(accept)) return { ...asTable(resource, items, '', query.get('includeObject')), metadata };
  if (wantsPartial(accept))
    return { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items: items.map(partialOf) };
  // Items of a list say neither kind nor version: the list says it for all.
  return { ...found, items: items.map(({ apiVersion: _apiVersion, kind: _kind, ...rest }) => rest) };
}

/** Larger bodies than a real server takes are refused as it refuses them. */
const mostBytes = 3 * 1024 * 1024;

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (body.length > mostBytes) throw new Refusal(413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728');
  return body;
}
