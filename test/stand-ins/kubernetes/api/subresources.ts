import { copy, isObject, type JsonObject, type KubeObject, listAt, numberAt, objectAt, objectsAt, textAt } from '../state/json.ts';
import { parseBody } from './body.ts';
import { disruptionsLeft } from './disruptions.ts';
import { recordUpdate } from './managers.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { getOne } from './read.ts';
import { remove } from './remove.ts';
import { type ApiRequest, subjectOf } from './request.ts';
import { may, rightsOf } from './rights.ts';
import { badRequest, conflict, invalid, invalidValue, tooManyRequests } from './status.ts';
import type { World } from './world.ts';
import { editorOf } from './write.ts';

/** A workload's scale as an object of its own. */
export function readScale(world: World, request: ApiRequest): JsonObject {
  return scaleOf(getOne(world, request));
}

function scaleOf(object: KubeObject): JsonObject {
  const { name, namespace = '', uid, resourceVersion, creationTimestamp } = object.metadata;
  const labels = objectAt(object, 'spec', 'selector', 'matchLabels');
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberAt(object, 'spec', 'replicas') ?? 0 },
    status: {
      replicas: numberAt(object, 'status', 'replicas') ?? 0,
      selector: Object.entries(labels)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(','),
    },
  };
}

/** Sets a workload's replicas. */
export function writeScale(world: World, request: ApiRequest): JsonObject {
  const object = getOne(world, request);
  const present = scaleOf(object);
  const body = parseBody(request);
  const next =
    request.method === 'PUT'
      ? (body as JsonObject)
      : request.contentType === 'application/json-patch+json'
        ? jsonPatch(present, body as never)
        : (mergePatch(present, body as JsonObject) as JsonObject);
  const version = textAt(next, 'metadata', 'resourceVersion');
  if (version !== undefined && version !== '' && version !== object.metadata.resourceVersion) throw conflict(subjectOf(request));
  const replicas = numberAt(next, 'spec', 'replicas') ?? 0;
  if (replicas < 0) throw invalid(subjectOf(request), [invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0')]);
  const written = copy(object);
  objectAt(written, 'spec').replicas = replicas;
  if (replicas !== numberAt(object, 'spec', 'replicas')) written.metadata.generation = (written.metadata.generation ?? 1) + 1;
  recordUpdate(world.schema, request.resource, object, written, editorOf(request));
  if (request.query.get('dryRun') === 'All') return scaleOf(written);
  return scaleOf(world.store.replace(request.resource, written));
}

/** Ends a pod unless a disruption budget forbids it. */
export function evict(world: World, request: ApiRequest): JsonObject {
  const pod = getOne(world, request);
  const left = disruptionsLeft(world, pod);
  if (left !== null && left.allowed <= 0) {
    const refused = tooManyRequests(10, "Cannot evict pod as it would violate the pod's disruption budget.");
    refused.status.details = {
      causes: [
        {
          reason: 'DisruptionBudget',
          message: `The disruption budget ${left.name} needs ${left.needed} healthy pods and has ${left.healthy} currently`,
        },
      ],
    };
    throw refused;
  }
  const body = parseBody(request) as JsonObject;
  remove(world, request.resource, pod, {
    propagation: 'Background',
    graceSeconds: numberAt(body, 'deleteOptions', 'gracePeriodSeconds') ?? null,
  });
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

/** Answers what its asker may do. */
export function review(world: World, request: ApiRequest): JsonObject {
  const body = parseBody(request) as JsonObject;
  const { user, resource } = request;
  const spec = objectAt(body, 'spec');
  const answered = (status: JsonObject) => ({
    kind: resource.kind,
    apiVersion: `${resource.group}/v1`,
    metadata: { creationTimestamp: null },
    spec,
    status,
  });
  if (resource.kind === 'SelfSubjectReview') return answered({ userInfo: { username: user.name, groups: [...user.groups] } });
  const rights = rightsOf(world, user);
  if (resource.kind === 'SelfSubjectRulesReview') {
    const namespace = textAt(spec, 'namespace') ?? '';
    const here = rights.filter(({ namespaces }) => namespaces === undefined || namespaces.includes(namespace));
    return answered({
      resourceRules: here.map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs: [...verbs],
        apiGroups: [...apiGroups],
        resources: [...resources],
        ...(resourceNames && resourceNames.length > 0 ? { resourceNames: [...resourceNames] } : {}),
      })),
      nonResourceRules: [
        {
          verbs: ['get'],
          nonResourceURLs: [
            '/api',
            '/api/*',
            '/apis',
            '/apis/*',
            '/healthz',
            '/livez',
            '/openapi',
            '/openapi/*',
            '/readyz',
            '/version',
            '/version/',
          ],
        },
      ],
      incomplete: false,
    });
  }
  const wanted = spec.resourceAttributes;
  if (!isObject(wanted)) return answered({ allowed: true });
  const text = (key: string) => textAt(wanted, key) ?? '';
  const allowed = may(rights, {
    verb: text('verb'),
    group: text('group'),
    resource: text('subresource') === '' ? text('resource') : `${text('resource')}/${text('subresource')}`,
    namespace: text('namespace'),
    name: text('name'),
    user: user.name,
  });
  return answered(allowed ? { allowed, reason: 'the stand-in allows it' } : { allowed });
}

/** A pod whose container runs, and that container. */
export function containerOf(world: World, request: ApiRequest): { readonly pod: KubeObject; readonly container: string } {
  const pod = getOne(world, request);
  const names = [...objectsAt(pod, 'spec', 'initContainers'), ...objectsAt(pod, 'spec', 'containers')].map(({ name }) => String(name));
  const asked = request.query.get('container') ?? '';
  if (asked === '' && listAt(pod, 'spec', 'containers').length > 1) {
    throw badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`);
  }
  const container = asked === '' ? String(objectsAt(pod, 'spec', 'containers')[0]?.name) : asked;
  if (!names.includes(container)) throw badRequest(`container ${container} is not valid for pod ${pod.metadata.name}`);
  return { pod, container };
}
