import { ApiError } from './chat-request.ts';

const modelObject = (name: string) => ({ id: name, object: 'model', created: 0, owned_by: 'dmas-opt' });
const listPath = '/v1/models';

export const unknownModel = (name: string) => new ApiError(404, 'model_not_found', `The model \`${name}\` does not exist.`, 'model');

/**
 * What `GET /v1/models` and `GET /v1/models/<name>` answer, as in the OpenAI API; undefined for every other path.
 *
 * @throws ApiError for a name that is not served
 */
export function modelList(path: string, served: readonly string[]): object | undefined {
  if (path === listPath) return { object: 'list', data: served.map(modelObject) };
  if (!path.startsWith(`${listPath}/`)) return undefined;
  const name = decodeURIComponent(path.slice(listPath.length + 1));
  if (!served.includes(name)) throw unknownModel(name);
  return modelObject(name);
}
