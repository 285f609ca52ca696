import { isObject, type Json, type JsonObject, type KubeObject, objectAt, objectsAt, same, textAt } from '../state/json.ts';
import { defaultPod, fill } from './pod-defaults.ts';

/** Fills in what a server fills in before it stores an object. Changes `object`. */
export function applyDefaults(object: KubeObject): void {
  const fillIn = byKind[object.kind];
  if (fillIn) fillIn(object);
}

const byKind: { readonly [kind: string]: (object: KubeObject) => void } = {
  Namespace: (object) => {
    fill(part(object, 'spec'), { finalizers: ['kubernetes'] });
    fill(part(object, 'status'), { phase: 'Active' });
    object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
  },
  Pod: (object) => {
    defaultPod(part(object, 'spec'));
    fill(part(object, 'status'), { phase: 'Pending', qosClass: qosOf(object) });
  },
  Deployment: (object) => {
    const spec = part(object, 'spec');
    fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
    const strategy = part(spec, 'strategy');
    fill(strategy, { type: 'RollingUpdate' });
    if (strategy.type === 'RollingUpdate') fill(part(strategy, 'rollingUpdate'), { maxUnavailable: '25%', maxSurge: '25%' });
    defaultTemplate(spec);
  },
  ReplicaSet: (object) => {
    fill(part(object, 'spec'), { replicas: 1 });
    defaultTemplate(part(object, 'spec'));
  },
  DaemonSet: (object) => {
    fill(part(object, 'spec'), { revisionHistoryLimit: 10 });
    defaultTemplate(part(object, 'spec'));
  },
  StatefulSet: (object) => {
    const spec = part(object, 'spec');
    fill(spec, {
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      revisionHistoryLimit: 10,
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    });
    const strategy = part(spec, 'updateStrategy');
    fill(strategy, { type: 'RollingUpdate' });
    if (strategy.type === 'RollingUpdate') fill(part(strategy, 'rollingUpdate'), { partition: 0 });
    defaultTemplate(spec);
    for (const claim of objectsAt(spec, 'volumeClaimTemplates')) {
      fill(claim, { apiVersion: 'v1', kind: 'PersistentVolumeClaim' });
      fill(part(claim, 'spec'), { volumeMode: 'Filesystem' });
      fill(part(claim, 'status'), { phase: 'Pending' });
    }
  },
  Job: (object) => {
    const spec = part(object, 'spec');
    defaultJob(spec);
    const uid = object.metadata.uid;
    if (spec.manualSelector === true || typeof uid !== 'string') return;
    const labels = { 'batch.kubernetes.io/controller-uid': uid, 'batch.kubernetes.io/job-name': object.metadata.name };
    const metadata = part(part(spec, 'template'), 'metadata');
    metadata.labels = { ...objectAt(metadata, 'labels'), ...labels, 'controller-uid': uid, 'job-name': object.metadata.name };
    spec.selector = { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } };
  },
  CronJob: (object) => {
    const spec = part(object, 'spec');
    fill(spec, { concurrencyPolicy: 'Allow', suspend: false, successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1 });
    defaultTemplate(objectAt(spec, 'jobTemplate', 'spec'));
  },
  Service: (object) => {
    const spec = part(object, 'spec');
    fill(spec, { type: 'ClusterIP', sessionAffinity: 'None' });
    for (const port of objectsAt(spec, 'ports')) {
      fill(port, { protocol: 'TCP' });
      fill(port, { targetPort: port.port });
    }
    if (spec.type !== 'ExternalName') fill(spec, { internalTrafficPolicy: 'Cluster', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') fill(spec, { externalTrafficPolicy: 'Cluster' });
    if (spec.clusterIP !== undefined) fill(spec, { clusterIPs: [spec.clusterIP] });
    fill(part(object, 'status'), { loadBalancer: {} });
  },
  Secret: (object) => {
    fill(object, { type: 'Opaque' });
    const texts = objectAt(object, 'stringData');
    const data = Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(String(text)).toString('base64')]));
    if (Object.keys(texts).length > 0) object.data = { ...objectAt(object, 'data'), ...data };
    delete object.stringData;
  },
  PersistentVolumeClaim: (object) => {
    fill(part(object, 'spec'), { volumeMode: 'Filesystem' });
    fill(part(object, 'status'), { phase: 'Pending' });
  },
  HorizontalPodAutoscaler: (object) => {
    const spec = part(object, 'spec');
    fill(spec, {
      minReplicas: 1,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }],
    });
  },
  NetworkPolicy: (object) => {
    const spec = part(object, 'spec');
    fill(spec, { podSelector: {}, policyTypes: 'egress' in spec ? ['Ingress', 'Egress'] : ['Ingress'] });
    for (const rule of [...objectsAt(spec, 'ingress'), ...objectsAt(spec, 'egress')]) {
      for (const port of objectsAt(rule, 'ports')) fill(port, { protocol: 'TCP' });
    }
  },
  RoleBinding: bindingDefaults,
  ClusterRoleBinding: bindingDefaults,
  EndpointSlice: (object) => {
    for (const port of objectsAt(object, 'ports')) fill(port, { name: '', protocol: 'TCP' });
  },
};

function bindingDefaults(object: KubeObject): void {
  for (const subject of objectsAt(object, 'subjects'))
    fill(subject, { apiGroup: subject.kind === 'ServiceAccount' ? undefined : 'rbac.authorization.k8s.io' });
}

function defaultJob(spec: JsonObject): void {
  fill(spec, {
    backoffLimit: 6,
    completionMode: 'NonIndexed',
    suspend: false,
    manualSelector: false,
    podReplacementPolicy: 'TerminatingOrFailed',
  });
  if (spec.parallelism === undefined && spec.completions === undefined) spec.completions = 1;
  fill(spec, { parallelism: 1 });
  defaultTemplate(spec);
}

const defaultTemplate = (spec: JsonObject) => {
  const template = part(spec, 'template');
  if (isObject(template.spec)) defaultPod(template.spec);
};

/** A part of an object, made where it is missing. */
export function part(object: JsonObject, name: string): JsonObject {
  const found = object[name];
  if (isObject(found)) return found;
  const made: JsonObject = {};
  object[name] = made;
  return made;
}

/** How a node would treat a pod that runs short, by its requests and limits. */
function qosOf(pod: KubeObject): string {
  const resources = [...objectsAt(pod, 'spec', 'containers'), ...objectsAt(pod, 'spec', 'initContainers')].map((each) =>
    objectAt(each, 'resources'),
  );
  if (resources.every((each) => Object.keys(objectAt(each, 'requests')).length + Object.keys(objectAt(each, 'limits')).length === 0))
    return 'BestEffort';
  const guaranteed = resources.every((each) =>
    ['cpu', 'memory'].every((name) => {
      const limit: Json | undefined = textAt(each, 'limits', name);
      return limit !== undefined && same(limit, textAt(each, 'requests', name));
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
