import { at, type JsonObject, type KubeObject, listAt, numberAt, objectAt, objectsAt, textAt } from '../state/json.ts';
import type { Resource } from './resources.ts';

export const wantsTable = (accept: string): boolean => /as=Table/.test(accept.split(',')[0] ?? '');
export const wantsPartial = (accept: string): boolean => /as=PartialObjectMetadata(;|$|,)/.test(accept.split(',')[0] ?? '');

type Column = readonly [name: string, read: (object: KubeObject) => string | number, wide?: true];

const containers = (object: KubeObject) => objectsAt(object, 'spec', 'template', 'spec', 'containers');
const podColumns: readonly Column[] = [
  [
    'Ready',
    (pod) =>
      `${objectsAt(pod, 'status', 'containerStatuses').filter(({ ready }) => ready).length}/${listAt(pod, 'spec', 'containers').length}`,
  ],
  ['Status', podStatus],
  ['Restarts', (pod) => objectsAt(pod, 'status', 'containerStatuses').reduce((sum, { restartCount }) => sum + Number(restartCount), 0)],
  ['Age', age],
  ['IP', (pod) => textAt(pod, 'status', 'podIP') ?? '<none>', true],
  ['Node', (pod) => textAt(pod, 'spec', 'nodeName') ?? '<none>', true],
];
const number = (name: string) => (object: KubeObject) => numberAt(object, 'status', name) ?? 0;

/** Columns kubectl prints, as the server decides them. */
const columns: { readonly [kind: string]: readonly Column[] } = {
  Pod: podColumns,
  Deployment: [
    ['Ready', (object) => `${number('readyReplicas')(object)}/${numberAt(object, 'spec', 'replicas') ?? 0}`],
    ['Up-to-date', number('updatedReplicas')],
    ['Available', number('availableReplicas')],
    ['Age', age],
    [
      'Containers',
      (object) =>
        containers(object)
          .map(({ name }) => String(name))
          .join(','),
      true,
    ],
    [
      'Images',
      (object) =>
        containers(object)
          .map(({ image }) => String(image))
          .join(','),
      true,
    ],
  ],
  ReplicaSet: [
    ['Desired', (object) => numberAt(object, 'spec', 'replicas') ?? 0],
    ['Current', number('replicas')],
    ['Ready', number('readyReplicas')],
    ['Age', age],
  ],
  StatefulSet: [
    ['Ready', (object) => `${number('readyReplicas')(object)}/${numberAt(object, 'spec', 'replicas') ?? 0}`],
    ['Age', age],
  ],
  Job: [
    ['Status', (object) => String(objectsAt(object, 'status', 'conditions').find(({ status }) => status === 'True')?.type ?? 'Running')],
    ['Completions', (object) => `${number('succeeded')(object)}/${numberAt(object, 'spec', 'completions') ?? 1}`],
    ['Age', age],
  ],
  CronJob: [
    ['Schedule', (object) => textAt(object, 'spec', 'schedule') ?? ''],
    ['Suspend', (object) => String(at(object, 'spec', 'suspend'))],
    ['Age', age],
  ],
  Service: [
    ['Type', (object) => textAt(object, 'spec', 'type') ?? ''],
    ['Cluster-IP', (object) => textAt(object, 'spec', 'clusterIP') ?? '<none>'],
    ['External-IP', () => '<none>'],
    [
      'Port(s)',
      (object) =>
        objectsAt(object, 'spec', 'ports')
          .map(({ port, protocol }) => `${String(port)}/${String(protocol)}`)
          .join(',') || '<none>',
    ],
    ['Age', age],
  ],
  ConfigMap: [
    ['Data', (object) => Object.keys(objectAt(object, 'data')).length + Object.keys(objectAt(object, 'binaryData')).length],
    ['Age', age],
  ],
  Secret: [
    ['Type', (object) => textAt(object, 'type') ?? ''],
    ['Data', (object) => Object.keys(objectAt(object, 'data')).length],
    ['Age', age],
  ],
  Namespace: [
    ['Status', (object) => textAt(object, 'status', 'phase') ?? ''],
    ['Age', age],
  ],
  Event: [
    ['Last Seen', (object) => elapsed(textAt(object, 'lastTimestamp') ?? object.metadata.creationTimestamp)],
    ['Type', (object) => textAt(object, 'type') ?? ''],
    ['Reason', (object) => textAt(object, 'reason') ?? ''],
    [
      'Object',
      (object) => `${(textAt(object, 'involvedObject', 'kind') ?? '').toLowerCase()}/${textAt(object, 'involvedObject', 'name') ?? ''}`,
    ],
    ['Message', (object) => textAt(object, 'message') ?? ''],
  ],
};
const plain: readonly Column[] = [['Age', age]];

/** Objects as the table kubectl prints; a watch sends the columns with the first row only. */
export function asTable(
  resource: Resource,
  objects: readonly KubeObject[],
  version: string,
  include: string | null,
  withColumns = true,
): JsonObject {
  const all: readonly Column[] = [['Name', ({ metadata }) => metadata.name], ...(columns[resource.kind] ?? plain)];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion: version },
    columnDefinitions: withColumns
      ? all.map(([name, , wide]) => ({
          name,
          type: 'string',
          format: name === 'Name' ? 'name' : '',
          description: name,
          priority: wide ? 1 : 0,
        }))
      : [],
    rows: objects.map((object) => ({
      cells: all.map(([, read]) => read(object)),
      ...(include === 'None'
        ? {}
        : {
            object:
              include === 'Object' ? object : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
          }),
    })),
  };
}

function podStatus(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  for (const status of [...objectsAt(pod, 'status', 'initContainerStatuses'), ...objectsAt(pod, 'status', 'containerStatuses')]) {
    const reason = textAt(status, 'state', 'waiting', 'reason') ?? textAt(status, 'state', 'terminated', 'reason');
    if (reason !== undefined && reason !== 'Completed') return reason;
  }
  const phase = textAt(pod, 'status', 'phase') ?? 'Unknown';
  return phase === 'Succeeded' ? 'Completed' : phase;
}

function age({ metadata }: KubeObject): string {
  return elapsed(metadata.creationTimestamp);
}

function elapsed(since: string): string {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
