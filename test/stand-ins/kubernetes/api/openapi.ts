import type { JsonObject } from '../state/json.ts';
import { listKeys, mergeKey } from './lists.ts';
import { apiVersionOf, type Resource } from './resources.ts';
import type { FieldType } from './schema.ts';
import { allResources, type World } from './world.ts';

/** `/openapi/v3`: where the document of each group and version is. */
export function openApiIndex(world: World): JsonObject {
  const paths = new Set(allResources(world).map(({ group, version }) => (group === '' ? `api/${version}` : `apis/${group}/${version}`)));
  return {
    paths: Object.fromEntries(
      [...paths].map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${world.version}-${world.custom.size}` }]),
    ),
  };
}

/** The document of one group and version: its kinds with their schemas, and that a patch takes `fieldValidation`. */
export function openApiOf(world: World, group: string, version: string): JsonObject {
  const resources = allResources(world).filter((each) => each.group === group && each.version === version);
  const schemas: JsonObject = {};
  const paths: JsonObject = {};
  for (const resource of resources) {
    schemas[schemaName(resource)] = {
      ...(resource.model === null ? openSchema() : modelSchema(world, resource.model, schemas)),
      'x-kubernetes-group-version-kind': [{ group, version, kind: resource.kind }],
    };
    Object.assign(paths, pathsOf(resource));
  }
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version: `v${world.version}.0` }, paths, components: { schemas } };
}

const schemaName = ({ group, version, kind }: Resource) => `${group === '' ? 'core' : group}.${version}.${kind}`;
const openSchema = (): JsonObject => ({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true });

const parameter = (name: string): JsonObject => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } });

function pathsOf(resource: Resource): JsonObject {
  const { group, version, plural, kind, namespaced } = resource;
  const base = `${group === '' ? '/api' : '/apis'}/${apiVersionOf({ group, version })}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}`;
  const operation = (action: string): JsonObject => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version, kind },
    parameters: [
      parameter('dryRun'),
      parameter('fieldManager'),
      parameter('fieldValidation'),
      ...(action === 'patch' ? [parameter('force')] : []),
    ],
    responses: {
      '200': { description: 'OK', content: { 'application/json': { schema: { $ref: `#/components/schemas/${schemaName(resource)}` } } } },
    },
  });
  return {
    [base]: { get: operation('list'), post: operation('post') },
    [`${base}/{name}`]: { get: operation('get'), put: operation('put'), patch: operation('patch'), delete: operation('delete') },
  };
}

function modelSchema(world: World, model: string, schemas: JsonObject): JsonObject {
  const fields = [...(world.schema.model(model)?.values() ?? [])];
  const required = fields.filter((field) => field.required).map(({ name }) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(
      fields.map(({ name, type, format }) => {
        const keys = listKeys(model, name);
        const merge = mergeKey(model, name);
        return [
          name,
          {
            ...typeSchema(world, type, format, schemas),
            ...(keys ? { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...keys] } : {}),
            ...(merge === null ? {} : { 'x-kubernetes-patch-strategy': 'merge', 'x-kubernetes-patch-merge-key': merge }),
            ...(model === 'V1ObjectMeta' && name === 'finalizers' ? { 'x-kubernetes-patch-strategy': 'merge' } : {}),
            ...(model === 'V1DeploymentSpec' && name === 'strategy' ? { 'x-kubernetes-patch-strategy': 'retainKeys' } : {}),
            ...(model === 'V1PodSpec' && name === 'volumes' ? { 'x-kubernetes-patch-strategy': 'merge,retainKeys' } : {}),
          },
        ];
      }),
    ),
    ...(required.length > 0 ? { required } : {}),
  };
}

function typeSchema(world: World, type: FieldType, format: string, schemas: JsonObject): JsonObject {
  switch (type.is) {
    case 'text':
      return { type: 'string' };
    case 'number':
      return { type: format === 'double' || format === '' ? 'number' : 'integer', ...(format === '' ? {} : { format }) };
    case 'boolean':
      return { type: 'boolean' };
    case 'date':
      return { type: 'string', format: 'date-time' };
    case 'intOrText':
      return { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' };
    case 'any':
      return {};
    case 'list':
      return { type: 'array', items: typeSchema(world, type.of, format, schemas) };
    case 'map':
      return { type: 'object', additionalProperties: typeSchema(world, type.of, format, schemas) };
    case 'model':
      if (schemas[type.model] === undefined) {
        schemas[type.model] = {};
        schemas[type.model] = modelSchema(world, type.model, schemas);
      }
      return { allOf: [{ $ref: `#/components/schemas/${type.model}` }] };
  }
}
