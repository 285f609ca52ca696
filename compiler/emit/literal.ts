import type { Json } from '../contracts/index.ts';

const width = 120;

/** JSON as a TypeScript literal that people can read: one line where it fits, unquoted keys, single quotes. */
export function printLiteral(value: unknown, indent = ''): string {
  const flat = flatten(value as Json);
  if (indent.length + flat.length <= width) return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) return `[\n${value.map((item) => `${inner}${printLiteral(item, inner)},\n`).join('')}${indent}]`;
  if (value === null || typeof value !== 'object') return flat;
  const lines = entriesOf(value as { readonly [key: string]: Json }).map(
    ([key, item]) => `${inner}${keyOf(key)}: ${printLiteral(item, inner)},\n`,
  );
  return `{\n${lines.join('')}${indent}}`;
}

function flatten(value: Json): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return `[${value.map(flatten).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = entriesOf(value as { readonly [key: string]: Json });
  return entries.length === 0 ? '{}' : `{ ${entries.map(([key, item]) => `${keyOf(key)}: ${flatten(item)}`).join(', ')} }`;
}

const entriesOf = (value: { readonly [key: string]: Json }) => Object.entries(value).filter(([, item]) => item !== undefined);

function quote(text: string): string {
  const json = JSON.stringify(text);
  return json === `"${text}"` && !text.includes("'") ? `'${text}'` : json;
}

// As a literal key `__proto__` would set the prototype instead of a member.
const keyOf = (key: string) =>
  /^[A-Za-z_$][\w$]*$/.test(key) && key !== '__proto__' ? key : key === '__proto__' ? `['__proto__']` : quote(key);
