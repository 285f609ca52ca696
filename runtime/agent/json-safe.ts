import { CallError } from '../../compiler/contracts/call-errors.ts';

/**
 * Only JSON goes between components, in one process as well as between two: a Date that arrives as a Date in one layout
 * and as a string in another would make answers depend on the layout. Members that are undefined are let through, since
 * JSON leaves them out and schemas treat both alike.
 *
 * In one process a message is then passed by reference: the receiver's schema copies what it describes, and tests run
 * with deep-frozen messages (`DMAS_FREEZE=1`) so that a handler that writes to the rest is found.
 *
 * @throws CallError `invalid` naming the place of the first value that is not JSON.
 */
export function requireJson(value: unknown, component: string, what: 'input' | 'output' | 'message' | 'chunk' | 'state' | 'prompt'): void {
  const fault = findFault(value, 0);
  if (fault === undefined) return;
  const place = fault.path.length === 0 ? '' : ` at ${fault.path.reverse().join('.')}`;
  throw new CallError({ code: 'invalid', message: `the ${what} of ${component} is not JSON${place}: ${fault.found}`, component });
}

interface Fault {
  readonly path: (string | number)[];
  readonly found: string;
}

/** Beyond this a value is taken for cyclic; V8's own parser takes more, people do not. */
const deepest = 512;

function findFault(value: unknown, depth: number): Fault | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : { path: [], found: String(value) };
    case 'object':
      break;
    default:
      return { path: [], found: typeof value };
  }
  if (value === null) return undefined;
  if (depth > deepest) return { path: [], found: 'nested too deeply, or in a circle' };
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = findFault(value[i], depth + 1);
      if (fault) return at(fault, i);
    }
    return undefined;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return { path: [], found: `an instance of ${(value as object).constructor?.name ?? 'a class'}` };
  }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    if (member === undefined) continue;
    const fault = findFault(member, depth + 1);
    if (fault) return at(fault, key);
  }
  return undefined;
}

/** Built from the inside out, so that the good case costs nothing. */
function at(fault: Fault, step: string | number): Fault {
  fault.path.push(step);
  return fault;
}

/** The value, frozen in depth. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
