import {
  at,
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  numberAt,
  objectAt,
  objectsAt,
  same,
  textAt,
} from '../state/json.ts';
import { type LabelSelector, selects } from '../state/selectors.ts';
import { podRules } from './pod-rules.ts';
import { type Cause, invalidValue, required, unsupported } from './status.ts';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const labelKey = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const labelHelp =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const subdomainHelp =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const serviceHelp =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const labelValueHelp =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** What a server refuses although every field is known and of the right type. `before` is null when the object is new. */
export function broken(object: KubeObject, before: KubeObject | null): readonly Cause[] {
  return [...metadataRules(object), ...(byKind[object.kind]?.(object, before) ?? [])];
}

const freeNames = new Set(['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding']);
const labelNames = new Set(['Namespace', 'Service']);

function metadataRules(object: KubeObject): Cause[] {
  const { name } = object.metadata;
  const found: Cause[] = [];
  if (object.kind === 'Service' && !/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name)) found.push(invalidValue('metadata.name', name, serviceHelp));
  else if (object.kind === 'Namespace' && !label.test(name)) found.push(invalidValue('metadata.name', name, labelHelp));
  else if (!freeNames.has(object.kind) && !subdomain.test(name)) found.push(invalidValue('metadata.name', name, subdomainHelp));
  const longest = labelNames.has(object.kind) ? 63 : 253;
  if (name.length > longest) found.push(invalidValue('metadata.name', name, `must be no more than ${longest} characters`));
  return [...found, ...labelRules('metadata', object.metadata)];
}

function labelRules(path: string, metadata: JsonObject): Cause[] {
  const found: Cause[] = [];
  for (const [key, value] of Object.entries(objectAt(metadata, 'labels'))) {
    const name = key.split('/').at(-1) ?? '';
    if (!labelKey.test(key) || name.length > 63)
      found.push(invalidValue(`${path}.labels`, key, 'name part must consist of alphanumeric characters'));
    if (String(value).length > 63) found.push(invalidValue(`${path}.labels`, value, 'must be no more than 63 bytes'));
    else if (!labelValue.test(String(value))) found.push(invalidValue(`${path}.labels`, value, labelValueHelp));
  }
  for (const key of Object.keys(objectAt(metadata, 'annotations'))) {
    if (!labelKey.test(key.toLowerCase()))
      found.push(invalidValue(`${path}.annotations`, key, 'name part must consist of alphanumeric characters'));
  }
  return found;
}

type Rule = (object: KubeObject, before: KubeObject | null) => readonly Cause[];

const byKind: { readonly [kind: string]: Rule } = {
  Pod: (object, before) => {
    if (before && !same(fixedOf(object), fixedOf(before))) {
      return [
        {
          reason: 'FieldValueForbidden',
          field: 'spec',
          message:
            'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
        },
      ];
    }
    return podRules(objectAt(object, 'spec'), 'spec', ['Always', 'OnFailure', 'Never']);
  },
  Deployment: (object, before) => [...workload(object, before, ['Always']), ...immutable(object, before, ['selector'])],
  ReplicaSet: (object, before) => [...workload(object, before, ['Always']), ...immutable(object, before, ['selector'])],
  DaemonSet: (object, before) => [...workload(object, before, ['Always']), ...immutable(object, before, ['selector'])],
  StatefulSet: (object, before) => [...workload(object, before, ['Always']), ...statefulFixed(object, before)],
  Job: (object, before) => [
    ...templateRules(object, ['OnFailure', 'Never'], 'spec.template'),
    ...negative(object, 'backoffLimit', 'completions', 'parallelism', 'activeDeadlineSeconds', 'ttlSecondsAfterFinished'),
    ...immutable(object, before, ['selector', 'completions', 'template']),
    ...(object.metadata.name.length > 63
      ? [invalidValue('spec.template.labels', object.metadata.name, 'must be no more than 63 bytes')]
      : []),
  ],
  CronJob: (object) => {
    const schedule = textAt(object, 'spec', 'schedule') ?? '';
    const broken =
      schedule.startsWith('@') || schedule.trim().split(/\s+/).length === 5
        ? []
        : [
            invalidValue(
              'spec.schedule',
              schedule,
              `expected exactly 5 fields, found ${schedule.trim().split(/\s+/).length}: [${schedule}]`,
            ),
          ];
    const long =
      object.metadata.name.length > 52 ? [invalidValue('metadata.name', object.metadata.name, 'must be no more than 52 characters')] : [];
    return [...broken, ...long, ...templateRules(object, ['OnFailure', 'Never'], 'spec.jobTemplate.spec.template')];
  },
  Service: serviceRules,
  ConfigMap: (object) => keyRules(object),
  Secret: (object, before) => [
    ...keyRules(object),
    ...Object.entries(objectAt(object, 'data')).flatMap(([key, value]) =>
      /^[A-Za-z0-9+/]*={0,2}$/.test(String(value))
        ? []
        : [invalidValue(`data[${key}]`, '<secret contents redacted>', 'illegal base64 data')],
    ),
    ...(before && before.type !== object.type ? [invalidValue('type', object.type, 'field is immutable')] : []),
    ...(before?.immutable === true && !same(before.data, object.data)
      ? [{ reason: 'FieldValueForbidden', field: 'data', message: 'Forbidden: field is immutable when `immutable` is set' }]
      : []),
  ],
  HorizontalPodAutoscaler: (object) => {
    const least = numberAt(object, 'spec', 'minReplicas') ?? 1;
    const most = numberAt(object, 'spec', 'maxReplicas') ?? 0;
    const found: Cause[] = [];
    if (most < 1) found.push(invalidValue('spec.maxReplicas', most, 'must be greater than 0'));
    if (most < least) found.push(invalidValue('spec.maxReplicas', most, 'must be greater than or equal to `minReplicas`'));
    return found;
  },
  PodDisruptionBudget: (object) =>
    at(object, 'spec', 'minAvailable') !== undefined && at(object, 'spec', 'maxUnavailable') !== undefined
      ? [invalidValue('spec', {}, 'minAvailable and maxUnavailable cannot be both set')]
      : [],
  NetworkPolicy: (object) =>
    ['ingress', 'egress'].flatMap((side) =>
      objectsAt(object, 'spec', side).flatMap((rule, index) =>
        objectsAt(rule, side === 'ingress' ? 'from' : 'to').flatMap((peer, nth) => {
          const path = `spec.${side}[${index}].${side === 'ingress' ? 'from' : 'to'}[${nth}]`;
          if (Object.keys(peer).length === 0) return [required(path, 'must specify a peer')];
          return isObject(peer.ipBlock) && Object.keys(peer).length > 1
            ? [{ reason: 'FieldValueForbidden', field: path, message: 'Forbidden: may not specify both ipBlock and another peer' }]
            : [];
        }),
      ),
    ),
  RoleBinding: (object, before) =>
    before && !same(before.roleRef, object.roleRef) ? [invalidValue('roleRef', object.roleRef, 'cannot change roleRef')] : [],
  PersistentVolumeClaim: (object) =>
    listAt(object, 'spec', 'accessModes').length === 0 ? [required('spec.accessModes', 'at least 1 access mode is required')] : [],
};

function workload(object: KubeObject, _before: KubeObject | null, restart: readonly string[]): readonly Cause[] {
  const selector = objectAt(object, 'spec', 'selector');
  const labels = objectAt(object, 'spec', 'template', 'metadata', 'labels') as { [key: string]: string };
  const found: Cause[] = [...negative(object, 'replicas')];
  if (Object.keys(selector).length === 0 && isObject(at(object, 'spec', 'selector')))
    found.push(invalidValue('spec.selector', {}, 'empty selector is invalid for deployment'));
  else if (isObject(at(object, 'spec', 'template')) && !selects(selector as LabelSelector, labels)) {
    found.push(invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  }
  return [...found, ...templateRules(object, restart, 'spec.template')];
}

function templateRules(object: KubeObject, restart: readonly string[], path: string): readonly Cause[] {
  const template = objectAt(object, ...path.split('.'));
  return [
    ...labelRules(`${path}.metadata`, objectAt(template, 'metadata')),
    ...podRules(objectAt(template, 'spec'), `${path}.spec`, restart),
  ];
}

const negative = (object: KubeObject, ...fields: readonly string[]): Cause[] =>
  fields.flatMap((field) => {
    const value = numberAt(object, 'spec', field);
    return value !== undefined && value < 0 ? [invalidValue(`spec.${field}`, value, 'must be greater than or equal to 0')] : [];
  });

const immutable = (object: KubeObject, before: KubeObject | null, fields: readonly string[]): Cause[] =>
  fields.flatMap((field) => {
    const changed = before !== null && !same(at(before, 'spec', field), at(object, 'spec', field));
    return changed ? [invalidValue(`spec.${field}`, at(object, 'spec', field), 'field is immutable')] : [];
  });

function statefulFixed(object: KubeObject, before: KubeObject | null): Cause[] {
  const free = new Set([
    'replicas',
    'ordinals',
    'template',
    'updateStrategy',
    'revisionHistoryLimit',
    'persistentVolumeClaimRetentionPolicy',
    'minReadySeconds',
  ]);
  const fixed = (spec: JsonObject) => Object.fromEntries(Object.entries(spec).filter(([key]) => !free.has(key)));
  if (!before || same(fixed(objectAt(before, 'spec')), fixed(objectAt(object, 'spec')))) return [];
  const message = `Forbidden: updates to statefulset spec for fields other than ${[...free]
    .slice(0, -1)
    .map((each) => `'${each}'`)
    .join(', ')} and 'minReadySeconds' are forbidden`;
  return [{ reason: 'FieldValueForbidden', field: 'spec', message }];
}

function serviceRules(object: KubeObject, before: KubeObject | null): Cause[] {
  const found: Cause[] = [];
  const ports = objectsAt(object, 'spec', 'ports');
  const type = textAt(object, 'spec', 'type') ?? 'ClusterIP';
  if (!['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'].includes(type)) {
    found.push(unsupported('spec.type', type, ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']));
  }
  const headless = textAt(object, 'spec', 'clusterIP') === 'None';
  if (ports.length === 0 && !headless && type !== 'ExternalName') found.push(required('spec.ports'));
  for (const [index, port] of ports.entries()) {
    const number = numberAt(port, 'port') ?? 0;
    if (number < 1 || number > 65_535)
      found.push(invalidValue(`spec.ports[${index}].port`, number, 'must be between 1 and 65535, inclusive'));
    if (ports.length > 1 && port.name === undefined) found.push(required(`spec.ports[${index}].name`));
    if (ports.findIndex((other) => other.port === port.port && other.protocol === port.protocol) !== index) {
      found.push({ reason: 'FieldValueDuplicate', field: `spec.ports[${index}]`, message: `Duplicate value: ${JSON.stringify(port)}` });
    }
  }
  const address = at(object, 'spec', 'clusterIP');
  if (before && at(before, 'spec', 'clusterIP') !== undefined && !same(address, at(before, 'spec', 'clusterIP'))) {
    found.push(invalidValue('spec.clusterIPs[0]', address, 'may not change once set'));
  }
  return found;
}

const keyRules = (object: KubeObject): Cause[] =>
  Object.keys({ ...objectAt(object, 'data'), ...objectAt(object, 'binaryData') }).flatMap((key) =>
    /^[-._a-zA-Z0-9]+$/.test(key) && key.length <= 253
      ? []
      : [
          invalidValue(
            `data[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        ],
  );

/** What of a running pod may not change. */
function fixedOf(pod: KubeObject): Json {
  const free = new Set(['activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds', 'nodeName']);
  const spec = Object.entries(objectAt(pod, 'spec')).filter(([key]) => !free.has(key));
  const bare = (value: Json | undefined) =>
    Array.isArray(value) ? value.map((each) => (isObject(each) ? { ...each, image: '', resources: {} } : each)) : value;
  return Object.fromEntries(
    spec.map(([key, value]) => [key, key === 'containers' || key === 'initContainers' ? bare(value) : value]),
  ) as JsonObject;
}
