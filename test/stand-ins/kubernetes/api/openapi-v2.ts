import { apiVersionOf } from './resources.ts';
import { allResources, type World } from './world.ts';

/** Type of the only form in which clients of Go ask for this document. */
export const openApiV2Type = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
const field = (number: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([...varint((number << 3) | 2), ...varint(content.length)]), content]);
const text = (number: number, value: string) => field(number, Buffer.from(value));
const message = (number: number, ...parts: readonly Buffer[]) => field(number, Buffer.concat(parts));

/**
 * `/openapi/v2` as a message of gnostic's `openapi.v2.Document`, with no more than what kubectl looks for in it: which patches
 * take `fieldValidation`. Schemas are in the third version, which clients prefer.
 */
export function openApiV2(world: World): Buffer {
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) =>
    // ParametersItem.parameter.non_body_parameter.query_parameter_sub_schema
    message(8, message(1, message(2, message(3, text(2, 'query'), text(4, name), text(6, 'string'))))),
  );
  const paths = allResources(world).map((resource) => {
    const { group, version, plural, kind, namespaced } = resource;
    const path = `${group === '' ? '/api' : '/apis'}/${apiVersionOf(resource)}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}/{name}`;
    const what = message(
      13,
      text(1, 'x-kubernetes-group-version-kind'),
      message(2, text(2, `group: "${group}"\nkind: ${kind}\nversion: ${version}\n`)),
    );
    return message(2, text(1, path), message(2, message(8, ...parameters, what)));
  });
  return Buffer.concat([text(1, '2.0'), message(2, text(1, 'Kubernetes'), text(2, `v${world.version}.0`)), message(8, ...paths)]);
}
