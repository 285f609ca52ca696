import { isObject, type JsonObject, type KubeObject, same } from '../state/json.ts';
import { decode } from './decode.ts';
import { applyDefaults } from './defaults.ts';
import { admitPod } from './limit-range.ts';
import { chargeQuota } from './quota.ts';
import { apiVersionOf, type Resource } from './resources.ts';
import { broken } from './rules.ts';
import { badRequest, type Cause, invalid, required } from './status.ts';
import type { World } from './world.ts';

export interface Read {
  readonly object: JsonObject;
  /** Sent as a Warning header. */
  readonly warnings: readonly string[];
  readonly missing: readonly string[];
}

export const kindOf = (resource: Resource) => ({ apiVersion: apiVersionOf(resource), kind: resource.kind });

/**
 * Reads a body against the model of its kind. Unknown fields are refused when the client asks for that, named as a
 * warning when it does not say, and dropped either way.
 * @throws {Refusal} 400
 */
export function readObject(world: World, resource: Resource, body: JsonObject, fieldValidation: string | null): Read {
  const { kind } = resource;
  if (resource.model === null) return { object: body, warnings: [], missing: [] };
  const found = decode(world.schema, resource.model, body);
  if (found.wrongType !== null) {
    throw badRequest(`${kind} in version "${resource.version}" cannot be handled as a ${kind}: ${found.wrongType}`);
  }
  const unknown = found.unknown.map((path) => `unknown field "${path}"`);
  if (unknown.length > 0 && fieldValidation === 'Strict') {
    throw badRequest(
      `${kind} in version "${resource.version}" cannot be handled as a ${kind}: strict decoding error: ${unknown.join(', ')}`,
    );
  }
  return { object: found.object, warnings: fieldValidation === 'Ignore' ? [] : unknown, missing: found.missing };
}

/** The body of a create or update as an object of the kind the path names. */
export function asObject(resource: Resource, body: unknown): JsonObject {
  if (!isObject(body)) throw badRequest('the body of the request was not an object');
  const wanted = kindOf(resource);
  const said = { apiVersion: body.apiVersion ?? wanted.apiVersion, kind: body.kind ?? wanted.kind };
  if (said.kind !== wanted.kind || said.apiVersion !== wanted.apiVersion) {
    throw badRequest(
      `${String(said.kind)} in version "${String(said.apiVersion)}" cannot be handled as a ${wanted.kind}: the API version in the data (${String(said.apiVersion)}) does not match the expected API version (${wanted.apiVersion})`,
    );
  }
  return { ...body, ...wanted };
}

/**
 * What a server does before it stores an object: defaults, limits, rules, quota.
 * @throws {Refusal} 403 or 422
 */
export function admit(world: World, resource: Resource, object: KubeObject, before: KubeObject | null, missing: readonly string[]): void {
  if (resource.model !== null) applyDefaults(object);
  if (resource.kind === 'Pod' && before === null) admitPod(world, object);
  const causes: Cause[] = missing.map((field) => required(field));
  if (resource.model !== null) causes.push(...broken(object, before).filter((cause) => !missing.includes(cause.field)));
  if (causes.length > 0) throw invalid({ ...resource, name: object.metadata.name }, causes);
  if (before === null) chargeQuota(world, resource, object);
}

/** Counts a change of what is wanted. */
export function countGeneration(resource: Resource, object: KubeObject, before: KubeObject | null): void {
  if (!resource.generations) return;
  if (before === null) object.metadata.generation = 1;
  else {
    const wanted = ({ metadata: _metadata, status: _status, ...rest }: JsonObject) => rest;
    object.metadata.generation = (before.metadata.generation ?? 1) + (same(wanted(before), wanted(object)) ? 0 : 1);
  }
}

/** What of an object a client cannot write. */
export function keepSystemFields(object: KubeObject, before: KubeObject): void {
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation, namespace, name } = before.metadata;
  Object.assign(object.metadata, { uid, creationTimestamp, name });
  for (const [key, value] of Object.entries({ deletionTimestamp, deletionGracePeriodSeconds, generation, namespace })) {
    if (value === undefined) delete object.metadata[key];
    else object.metadata[key] = value;
  }
}
