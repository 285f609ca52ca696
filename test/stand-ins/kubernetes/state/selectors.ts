import { at, type Json, type KubeObject } from './json.ts';

export type Match = (object: KubeObject) => boolean;

const requirement = /^\s*(?:(!)\s*([^\s=!,()]+)|([^\s=!,()]+)\s*(?:(=|==|!=)\s*([^\s,()]*)|\s(in|notin)\s*\(([^)]*)\))?)\s*$/;

/** A label selector in words, `a=b,c in (d,e),!f`; null where it is none. */
export function labelSelector(text: string): ((labels: { readonly [key: string]: string }) => boolean) | null {
  const tests: ((labels: { readonly [key: string]: string }) => boolean)[] = [];
  for (const part of text.split(/,(?![^(]*\))/).filter((each) => each.trim() !== '')) {
    const found = requirement.exec(part);
    if (!found) return null;
    const [, not, absent, key = '', sign, value = '', set, values = ''] = found;
    const among = values.split(',').map((each) => each.trim());
    if (not) tests.push((labels) => labels[String(absent)] === undefined);
    else if (sign === '!=') tests.push((labels) => labels[key] !== value);
    else if (sign) tests.push((labels) => labels[key] === value);
    else if (set === 'in') tests.push((labels) => labels[key] !== undefined && among.includes(labels[key]));
    else if (set === 'notin') tests.push((labels) => labels[key] === undefined || !among.includes(labels[key]));
    else tests.push((labels) => labels[key] !== undefined);
  }
  return (labels) => tests.every((test) => test(labels));
}

export interface LabelSelector {
  readonly matchLabels?: { readonly [key: string]: string };
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
}

/** True where a selector as data matches; one without conditions matches everything. */
export function selects(selector: LabelSelector, labels: { readonly [key: string]: string } = {}): boolean {
  const plain = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    plain &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const among = value !== undefined && values.includes(value);
      return operator === 'In' ? among : !among;
    })
  );
}

/** Fields that may be selected by, beside metadata.name and metadata.namespace. */
const selectable: { readonly [kind: string]: readonly string[] } = {
  Pod: ['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'status.phase', 'status.podIP'],
  Event: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  Secret: ['type'],
  Namespace: ['status.phase'],
  Node: ['spec.unschedulable'],
  ReplicaSet: ['status.replicas'],
  Job: ['status.successful'],
};

/** A field selector, or the field it cannot select by. */
export function fieldSelector(kind: string, text: string): Match | { readonly unsupported: string } {
  const tests: Match[] = [];
  for (const part of text.split(',').filter((each) => each !== '')) {
    const [, key = '', sign, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part) ?? [];
    if (sign === undefined) return { unsupported: part };
    if (!['metadata.name', 'metadata.namespace', ...(selectable[kind] ?? [])].includes(key)) return { unsupported: key };
    const read = (object: KubeObject) => fieldText(at(object, ...key.split('.')));
    tests.push(sign === '!=' ? (object) => read(object) !== value : (object) => read(object) === value);
  }
  return (object) => tests.every((test) => test(object));
}

const fieldText = (value: Json | undefined): string => (value === undefined || value === null ? '' : String(value));
