import { isObject, type Json, type JsonObject, numberAt, objectAt, objectsAt, textAt } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import { type Cause, duplicate, invalidValue, notFoundValue, required, unsupported } from './status.ts';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const labelHelp =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/** What is wrong with a pod's spec that stands at `path`. */
export function podRules(spec: JsonObject, path: string, restart: readonly string[]): readonly Cause[] {
  const found: Cause[] = [];
  const policy = textAt(spec, 'restartPolicy') ?? 'Always';
  if (!restart.includes(policy)) found.push(unsupported(`${path}.restartPolicy`, policy, restart));
  const volumes = objectsAt(spec, 'volumes');
  found.push(...namesOf(volumes, `${path}.volumes`));
  for (const [index, volume] of volumes.entries()) {
    if (Object.keys(volume).length > 2)
      found.push({
        reason: 'FieldValueForbidden',
        field: `${path}.volumes[${index}]`,
        message: 'Forbidden: may not specify more than 1 volume type',
      });
  }
  const known = new Set(volumes.map(({ name }) => name));
  for (const list of ['initContainers', 'containers']) {
    const containers = objectsAt(spec, list);
    if (list === 'containers' && containers.length === 0 && Array.isArray(spec.containers)) found.push(required(`${path}.containers`));
    found.push(...namesOf(containers, `${path}.${list}`));
    for (const [index, container] of containers.entries()) found.push(...containerRules(container, `${path}.${list}[${index}]`, known));
  }
  for (const [index, spread] of objectsAt(spec, 'topologySpreadConstraints').entries()) {
    const choices = ['DoNotSchedule', 'ScheduleAnyway'];
    const place = `${path}.topologySpreadConstraints[${index}]`;
    if (!choices.includes(String(spread.whenUnsatisfiable)))
      found.push(unsupported(`${place}.whenUnsatisfiable`, spread.whenUnsatisfiable, choices));
    if ((numberAt(spread, 'maxSkew') ?? 0) <= 0) found.push(invalidValue(`${place}.maxSkew`, spread.maxSkew, 'must be greater than zero'));
  }
  return found;
}

function namesOf(items: readonly JsonObject[], path: string): Cause[] {
  return items.flatMap((item, index) => {
    const name = textAt(item, 'name') ?? '';
    if (name === '') return [required(`${path}[${index}].name`)];
    if (!label.test(name) || name.length > 63) return [invalidValue(`${path}[${index}].name`, name, labelHelp)];
    return items.findIndex((other) => other.name === name) < index ? [duplicate(`${path}[${index}].name`, name)] : [];
  });
}

function containerRules(container: JsonObject, path: string, volumes: ReadonlySet<Json | undefined>): Cause[] {
  const found: Cause[] = [];
  if ((textAt(container, 'image') ?? '').trim() === '') found.push(required(`${path}.image`));
  const pull = ['Always', 'IfNotPresent', 'Never'];
  if (container.imagePullPolicy !== undefined && !pull.includes(String(container.imagePullPolicy))) {
    found.push(unsupported(`${path}.imagePullPolicy`, container.imagePullPolicy, pull));
  }
  for (const [index, port] of objectsAt(container, 'ports').entries()) {
    const number = numberAt(port, 'containerPort') ?? 0;
    const name = textAt(port, 'name');
    if (number < 1 || number > 65_535)
      found.push(invalidValue(`${path}.ports[${index}].containerPort`, number, 'must be between 1 and 65535, inclusive'));
    if (!['TCP', 'UDP', 'SCTP'].includes(String(port.protocol ?? 'TCP')))
      found.push(unsupported(`${path}.ports[${index}].protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']));
    if (name !== undefined && name.length > 15)
      found.push(invalidValue(`${path}.ports[${index}].name`, name, 'must be no more than 15 characters'));
  }
  for (const [index, entry] of objectsAt(container, 'env').entries()) {
    const place = `${path}.env[${index}]`;
    const name = textAt(entry, 'name') ?? '';
    if (name === '') found.push(required(`${place}.name`));
    if (name.includes('='))
      found.push(
        invalidValue(
          `${place}.name`,
          name,
          "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
      );
    if (isObject(entry.valueFrom) && textAt(entry, 'value') !== undefined && entry.value !== '') {
      found.push(invalidValue(`${place}.valueFrom`, '', 'may not be specified when `value` is not empty'));
    }
  }
  const mounts = objectsAt(container, 'volumeMounts');
  for (const [index, mount] of mounts.entries()) {
    const place = `${path}.volumeMounts[${index}]`;
    if (!volumes.has(mount.name)) found.push(notFoundValue(`${place}.name`, mount.name));
    if (mounts.findIndex((other) => other.mountPath === mount.mountPath) < index)
      found.push(invalidValue(`${place}.mountPath`, mount.mountPath, 'must be unique'));
  }
  return [...found, ...resourceRules(container, path), ...probeRules(container, path)];
}

function resourceRules(container: JsonObject, path: string): Cause[] {
  const requests = objectAt(container, 'resources', 'requests');
  const limits = objectAt(container, 'resources', 'limits');
  const found: Cause[] = [];
  for (const [name, value] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && (quantity(String(value)) ?? 0) > (quantity(String(limit)) ?? 0)) {
      found.push(invalidValue(`${path}.resources.requests`, value, `must be less than or equal to ${name} limit of ${String(limit)}`));
    }
  }
  for (const [side, map] of [
    ['requests', requests],
    ['limits', limits],
  ] as const) {
    for (const [name, value] of Object.entries(map)) {
      const place = `${path}.resources.${side}[${name}]`;
      if ((quantity(String(value)) ?? 0) < 0) found.push(invalidValue(place, value, 'must be greater than or equal to 0'));
      if (!name.includes('/') && !['cpu', 'memory', 'ephemeral-storage'].includes(name) && !name.startsWith('hugepages-')) {
        found.push(invalidValue(place, name, 'must be a standard resource for containers'));
      }
      if (name.includes('/') && side === 'requests' && String(limits[name] ?? '') !== String(value)) {
        found.push(required(`${path}.resources.limits`, 'Limit must be set for non overcommitable resources'));
      }
    }
  }
  return found;
}

function probeRules(container: JsonObject, path: string): Cause[] {
  return ['livenessProbe', 'readinessProbe', 'startupProbe'].flatMap((name) => {
    const probe = container[name];
    if (!isObject(probe)) return [];
    const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'].filter((each) => probe[each] !== undefined);
    if (handlers.length === 0) return [required(`${path}.${name}`, 'must specify a handler type')];
    if (handlers.length > 1)
      return [
        {
          reason: 'FieldValueForbidden',
          field: `${path}.${name}.${handlers[1]}`,
          message: 'Forbidden: may not specify more than 1 handler type',
        },
      ];
    return name !== 'readinessProbe' && (numberAt(probe, 'successThreshold') ?? 1) !== 1
      ? [invalidValue(`${path}.${name}.successThreshold`, probe.successThreshold, 'must be 1')]
      : [];
  });
}
