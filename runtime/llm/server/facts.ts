import type { Json } from '../../../compiler/contracts/index.ts';

/** JSON in a text: the whole of it, or from its first brace to its last. */
export function jsonIn(text: string): Json | undefined {
  const whole = parse(text);
  if (whole !== undefined) return whole;
  const start = text.indexOf('{');
  const end = text.lastIndexOf('}');
  return start >= 0 && end > start ? parse(text.slice(start, end + 1)) : undefined;
}

/** What JSON can begin with. A parser that fails costs more than all else a request takes here. */
const mayBeJson = /^[ \t\r\n]*(?:[[{"\-\d]|(?:true|false|null)[ \t\r\n]*$)/;

function parse(text: string): Json | undefined {
  if (!mayBeJson.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Spelling of a property name without case, dashes and underscores: `openingHours`, `opening_hours`. */
const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

export type Lookup = (name: string) => readonly Json[];

/** Values by property name: of JSON in the texts, outer before inner, earlier texts first; else of `Name: value` lines. */
export function lookupIn(texts: readonly string[]): Lookup {
  const found = new Map<string, Json[]>();
  const add = (name: string, value: Json) => {
    const key = plain(name);
    const list = found.get(key);
    if (list) list.push(value);
    else found.set(key, [value]);
  };
  for (const text of texts) {
    const json = jsonIn(text);
    if (json !== undefined && typeof json === 'object') visit(json, add);
    else for (const [, name = '', value = ''] of text.matchAll(/^\s*([\w -]{1,40}):[ \t]*(\S.*)$/gm)) add(name, value.trim());
  }
  return (name) => found.get(plain(name)) ?? [];
}

function visit(root: Json, add: (name: string, value: Json) => void): void {
  let level: Json[] = [root];
  while (level.length > 0) {
    const inner: Json[] = [];
    for (const value of level) {
      if (value === null || typeof value !== 'object') continue;
      if (!Array.isArray(value)) for (const [name, member] of Object.entries(value)) add(name, member as Json);
      inner.push(...(Object.values(value) as Json[]));
    }
    level = inner;
  }
}

const factsPerText = 5;
const factCharacters = 90;

/** The first few plain values of a text that is JSON, by name; else its beginning. */
export function keyFacts(text: string): string {
  const json = jsonIn(text);
  if (json === undefined || json === null || typeof json !== 'object') return shorten(text, factCharacters);
  const facts: string[] = [];
  const walk = (name: string, value: Json) => {
    if (facts.length >= factsPerText || value === null) return;
    if (typeof value === 'object') {
      for (const [key, member] of Object.entries(value)) walk(Array.isArray(value) ? name : key, member as Json);
    } else facts.push(name === '' ? shorten(String(value), factCharacters) : `${name} ${shorten(String(value), factCharacters)}`);
  };
  walk('', json);
  return facts.length === 0 ? 'nothing' : facts.join(', ');
}

export function shorten(text: string, characters: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters - 1).trimEnd()}…`;
}
