/**
 * JSON text of a value to be stored.
 * @throws TypeError when the value is no JSON; nothing is stored then.
 */
export function toStoredJson(value: unknown): string {
  const json: string | undefined = JSON.stringify(value);
  if (json === undefined) throw notJson(value);
  return json;
}

/** The same check for a value that is serialized elsewhere. */
export function assertStorable(value: unknown): void {
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') throw notJson(value);
}

const notJson = (value: unknown) => new TypeError(`a value of type ${typeof value} cannot be stored: state is JSON`);
