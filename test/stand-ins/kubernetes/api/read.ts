import type { ServerResponse } from 'node:http';
import type { JsonObject, KubeObject } from '../state/json.ts';
import { fieldSelector, labelSelector } from '../state/selectors.ts';
import { type ApiRequest, isTrue, subjectOf } from './request.ts';
import { apiVersionOf, qualifiedName } from './resources.ts';
import { badRequest, gone, notFound } from './status.ts';
import { asTable, wantsPartial, wantsTable } from './table.ts';
import type { Change, World } from './world.ts';

export function getOne(world: World, request: ApiRequest): KubeObject {
  const { resource, namespace, name } = request;
  const found = world.store.get(resource, resource.namespaced ? namespace : undefined, name);
  if (!found) throw notFound(subjectOf(request));
  return found;
}

/** What of a resource a request's selectors pass. */
export function selectorOf(request: ApiRequest): (object: KubeObject) => boolean {
  const labels = labelSelector(request.query.get('labelSelector') ?? '');
  if (!labels) throw badRequest(`unable to parse requirement: ${request.query.get('labelSelector')}`);
  const fields = fieldSelector(request.resource.kind, request.query.get('fieldSelector') ?? '');
  if (typeof fields !== 'function') throw badRequest(`field label not supported: ${fields.unsupported}`);
  const { name, namespace, resource } = request;
  return (object) =>
    labels(object.metadata.labels ?? {}) &&
    fields(object) &&
    (name === '' || object.metadata.name === name) &&
    (!resource.namespaced || namespace === '' || object.metadata.namespace === namespace);
}

/** A list, a page at a time where the client asks for pages. */
export function list(world: World, request: ApiRequest): JsonObject {
  const { resource, query } = request;
  const passes = selectorOf(request);
  const all = world.store.list(resource, resource.namespaced && request.namespace !== '' ? request.namespace : undefined).filter(passes);
  const limit = Number(query.get('limit') ?? 0);
  const from = readContinue(world, query.get('continue'));
  const rest = all.filter((object) => from === null || keyOf(object) > from.after);
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const last = page.at(-1);
  const left = rest.length - page.length;
  const version = String(from?.version ?? world.store.version);
  const metadata = {
    resourceVersion: version,
    ...(left > 0 && last
      ? {
          continue: Buffer.from(JSON.stringify({ after: keyOf(last), version: Number(version) })).toString('base64url'),
          remainingItemCount: left,
        }
      : {}),
  };
  return { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata, items: page };
}

const keyOf = ({ metadata }: KubeObject) => `${metadata.namespace ?? ''}/${metadata.name}`;

function readContinue(world: World, text: string | null): { after: string; version: number } | null {
  if (text === null || text === '') return null;
  const read = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as { after: string; version: number };
  if (world.store.since(read.version) === null)
    throw gone(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  return read;
}

/** Streams changes until the client goes, the time is over or the watches are dropped. */
export function watch(world: World, request: ApiRequest, response: ServerResponse, open: Set<ServerResponse>): void {
  const { resource, query, accept } = request;
  const passes = selectorOf(request);
  const from = query.get('resourceVersion') ?? '';
  const initial = isTrue(query.get('sendInitialEvents'));
  const backlog = from === '' || from === '0' || initial ? null : world.store.since(Number(from));
  let first = true;
  const shape = (object: KubeObject): JsonObject => {
    if (wantsTable(accept)) {
      const table = asTable(resource, [object], object.metadata.resourceVersion, query.get('includeObject'), first);
      first = false;
      return table;
    }
    return wantsPartial(accept) ? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata } : object;
  };
  const send = (type: string, object: JsonObject) => response.write(`${JSON.stringify({ type, object })}\n`);
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  if (backlog === null && from !== '' && from !== '0' && !initial) {
    send('ERROR', gone(`too old resource version: ${from} (${world.store.version})`).status);
    response.end();
    return;
  }
  const tell = (change: Change) => {
    if (change.resource !== qualifiedName(resource)) return;
    const [was, is] = [change.before !== null && passes(change.before), change.type !== 'DELETED' && passes(change.object)];
    if (is) send(was ? 'MODIFIED' : 'ADDED', shape(change.object));
    else if (was) send('DELETED', shape(change.type === 'DELETED' ? change.object : { ...change.object }));
  };
  if (backlog) for (const change of backlog) tell(change);
  else
    for (const object of world.store
      .list(resource, resource.namespaced && request.namespace !== '' ? request.namespace : undefined)
      .filter(passes))
      send('ADDED', shape(object));
  const bookmark = (annotations?: JsonObject) =>
    send('BOOKMARK', {
      kind: resource.kind,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: String(world.store.version), ...(annotations ? { annotations } : {}) },
    });
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  if (initial && bookmarks) bookmark({ 'k8s.io/initial-events-end': 'true' });
  const stop = world.store.onChange(tell);
  const beat = setInterval(() => bookmarks && !wantsTable(accept) && bookmark(), 5_000);
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  const over = () => {
    stop();
    clearInterval(beat);
    clearTimeout(end);
    open.delete(response);
  };
  // A slow client takes a while from the end to the close, and nothing may be written in between.
  const end = setTimeout(
    () => {
      over();
      response.end();
    },
    (seconds > 0 ? seconds : 1800) * 1000,
  );
  open.add(response);
  response.once('close', over);
}
