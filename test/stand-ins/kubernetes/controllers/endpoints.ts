import { isReady } from '../api/disruptions.ts';
import { createBySystem, ownedBy, writeBySystem } from '../api/system.ts';
import { builtInKind, newObject, type World } from '../api/world.ts';
import { type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';

/** Pods a service sends to that have an address. */
export function backendsOf(world: World, service: KubeObject): KubeObject[] {
  const selector = Object.entries(objectAt(service, 'spec', 'selector'));
  if (selector.length === 0) return [];
  return world.store
    .list(builtInKind('Pod'), service.metadata.namespace)
    .filter((pod) => selector.every(([key, value]) => pod.metadata.labels?.[key] === value))
    .filter(
      (pod) => textAt(pod, 'status', 'podIP') !== undefined && !['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase') ?? ''),
    );
}

export const isServing = (pod: KubeObject) => isReady(pod) && pod.metadata.deletionTimestamp === undefined;

/** A service's port as a number on one of its pods, whose containers may name it. */
export function targetPort(port: JsonObject, pod: KubeObject): number | null {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  const named = objectsAt(pod, 'spec', 'containers')
    .flatMap((container) => objectsAt(container, 'ports'))
    .find(({ name }) => name === target);
  return typeof named?.containerPort === 'number' ? named.containerPort : null;
}

/** Endpoints and endpoint slices: the addresses behind each service. */
export function endpoints(world: World): void {
  for (const service of world.store.list(builtInKind('Service'))) {
    if (service.metadata.deletionTimestamp !== undefined || Object.keys(objectAt(service, 'spec', 'selector')).length === 0) continue;
    const pods = backendsOf(world, service);
    const ports = objectsAt(service, 'spec', 'ports');
    const [first] = pods;
    const port = (each: JsonObject): JsonObject => ({
      name: each.name ?? '',
      port: (first ? targetPort(each, first) : null) ?? (typeof each.targetPort === 'number' ? each.targetPort : each.port),
      protocol: each.protocol ?? 'TCP',
    });
    const unready = objectAt(service, 'spec').publishNotReadyAddresses === true;
    const address = (pod: KubeObject): JsonObject => ({
      ip: textAt(pod, 'status', 'podIP'),
      nodeName: textAt(pod, 'spec', 'nodeName'),
      targetRef: { kind: 'Pod', name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid },
    });
    const ready = pods.filter((pod) => unready || isServing(pod));
    const rest = pods.filter((pod) => !ready.includes(pod));
    const subset = {
      ...(ready.length > 0 ? { addresses: ready.map(address) } : {}),
      ...(rest.length > 0 ? { notReadyAddresses: rest.map(address) } : {}),
      ports: ports.map(port).map(({ name, ...other }) => (name === '' ? other : { name, ...other })),
    };
    put(world, 'Endpoints', service, service.metadata.name, service.metadata.labels ?? {}, { subsets: pods.length > 0 ? [subset] : [] });
    put(
      world,
      'EndpointSlice',
      service,
      `${service.metadata.name}-slice`,
      {
        ...service.metadata.labels,
        'kubernetes.io/service-name': service.metadata.name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      {
        addressType: 'IPv4',
        ports: ports.map(port),
        endpoints: pods.map((pod) => ({
          addresses: [textAt(pod, 'status', 'podIP') ?? ''],
          conditions: {
            ready: unready || isServing(pod),
            serving: isReady(pod),
            terminating: pod.metadata.deletionTimestamp !== undefined,
          },
          nodeName: textAt(pod, 'spec', 'nodeName'),
          targetRef: address(pod).targetRef,
        })),
      },
    );
  }
}

function put(world: World, kind: string, service: KubeObject, name: string, labels: { [key: string]: string }, content: JsonObject): void {
  const resource = builtInKind(kind);
  const found = world.store.get(resource, service.metadata.namespace, name);
  if (!found) {
    createBySystem(
      world,
      resource,
      newObject(resource, { name, namespace: service.metadata.namespace ?? '', labels, ownerReferences: ownedBy(service) }, content),
      'kube-controller-manager',
    );
    return;
  }
  writeBySystem(world, found, (after) => {
    Object.assign(after, content);
  });
}
