/**
 * Live values that go between a hub and its nodes in one process. A message between components is JSON, which a node's
 * config with its functions is not; so an empty message stands for the value, and whoever gets it finds the value here.
 */
const values = new WeakMap<object, unknown>();

export function hold(value: unknown): object {
  const message = {};
  values.set(message, value);
  return message;
}

export const isHeld = (body: unknown): body is object => typeof body === 'object' && body !== null && values.has(body);

export const take = <T>(message: object): T => values.get(message) as T;
