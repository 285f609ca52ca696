import { parse } from 'yaml';
import { fromProtobuf } from './protobuf.ts';
import { badRequest, Refusal } from './status.ts';

/** The body of a request as data. */
export function parseBody({ body, contentType }: { readonly body: Buffer; readonly contentType: string }): unknown {
  const text = body.toString('utf8');
  if (contentType.includes('protobuf')) {
    const object = fromProtobuf(body);
    if (object) return object;
  }
  if (contentType.includes('protobuf') || contentType.includes('cbor')) {
    throw new Refusal(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml`,
    );
  }
  if (text.trim() === '') return {};
  try {
    return contentType.includes('yaml') ? parse(text) : JSON.parse(text);
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : String(error)}`);
  }
}
