import type { ServerResponse } from 'node:http';
import type { Kubelet } from '../kubelet/kubelet.ts';
import { objectsAt, textAt } from '../state/json.ts';
import { type ApiRequest, isTrue } from './request.ts';
import { badRequest } from './status.ts';
import { containerOf } from './subresources.ts';
import type { World } from './world.ts';

/** Sends what a container printed, and goes on sending where the client follows. */
export function serveLog(world: World, kubelet: Kubelet, request: ApiRequest, response: ServerResponse): void {
  const { pod, container } = containerOf(world, request);
  const { query } = request;
  const log = kubelet.logOf(pod, container, isTrue(query.get('previous')));
  if (!log) {
    const status = objectsAt(pod, 'status', 'containerStatuses').find(({ name }) => name === container);
    if (isTrue(query.get('previous')))
      throw badRequest(`previous terminated container "${container}" in pod "${pod.metadata.name}" not found`);
    throw badRequest(
      `container "${container}" in pod "${pod.metadata.name}" is waiting to start: ${textAt(status, 'state', 'waiting', 'reason') ?? 'ContainerCreating'}`,
    );
  }
  const seconds = query.get('sinceSeconds');
  const options = { timestamps: isTrue(query.get('timestamps')), sinceMs: seconds === null ? null : Date.now() - Number(seconds) * 1000 };
  const tail = query.get('tailLines');
  let from = tail === null ? 0 : Math.max(0, log.length - Number(tail));
  response.writeHead(200, { 'content-type': 'text/plain' });
  const more = () => {
    const upTo = log.length;
    const text = log.read(from, options);
    from = upTo;
    if (text !== '') response.write(text);
    if (!log.ended && isTrue(query.get('follow'))) return;
    // More may be printed before the end has gone out.
    stop();
    response.end();
  };
  const stop = log.onChange(more);
  response.once('close', stop);
  more();
}
