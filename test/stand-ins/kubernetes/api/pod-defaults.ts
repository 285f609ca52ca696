import { copy, isObject, type JsonObject, objectAt, objectsAt, textAt } from '../state/json.ts';

/** Sets what is not there. */
export function fill(object: JsonObject, values: JsonObject): void {
  for (const [key, value] of Object.entries(values)) if (object[key] === undefined && value !== undefined) object[key] = copy(value);
}

/** Fills in a pod's spec as a server does. */
export function defaultPod(spec: JsonObject): void {
  fill(spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
  });
  if (spec.serviceAccountName !== undefined) fill(spec, { serviceAccount: spec.serviceAccountName });
  for (const container of [...objectsAt(spec, 'containers'), ...objectsAt(spec, 'initContainers')]) defaultContainer(container);
  for (const volume of objectsAt(spec, 'volumes')) defaultVolume(volume);
}

function defaultContainer(container: JsonObject): void {
  const image = String(container.image ?? '');
  const tag = /:([^/:@]+)$/.exec(image.split('@')[0] ?? '')?.[1];
  fill(container, {
    imagePullPolicy: image.includes('@') || (tag !== undefined && tag !== 'latest') ? 'IfNotPresent' : 'Always',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    resources: {},
  });
  for (const port of objectsAt(container, 'ports')) fill(port, { protocol: 'TCP' });
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[name];
    if (isObject(probe)) defaultProbe(probe);
  }
  for (const entry of objectsAt(container, 'env')) {
    const field = objectAt(entry, 'valueFrom').fieldRef;
    if (isObject(field)) fill(field, { apiVersion: 'v1' });
  }
  const resources = objectAt(container, 'resources');
  const limits = objectAt(resources, 'limits');
  if (Object.keys(limits).length > 0) resources.requests = { ...limits, ...objectAt(resources, 'requests') };
}

function defaultProbe(probe: JsonObject): void {
  fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  if (isObject(probe.httpGet)) fill(probe.httpGet, { path: '/', scheme: 'HTTP' });
  if (isObject(probe.grpc)) fill(probe.grpc, { service: '' });
}

function defaultVolume(volume: JsonObject): void {
  for (const name of ['configMap', 'secret', 'downwardAPI', 'projected']) {
    const source = volume[name];
    if (isObject(source)) fill(source, { defaultMode: 420 });
  }
  if (Object.keys(volume).length === 1 && textAt(volume, 'name') !== undefined) volume.emptyDir = {};
}
