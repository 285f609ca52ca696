import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { ForeignResource } from '../../collect/foreign/span.ts';

const known = new WeakMap<ForeignResource, string | null>();

/** What a process is written in, as the values of `telemetry.sdk.language` name it; null when nothing says. */
export function languageOf(resource: ForeignResource): string | null {
  const found = known.get(resource);
  if (found !== undefined) return found;
  const language = read(resource);
  known.set(resource, language);
  return language;
}

const names: { readonly [other: string]: string } = { node: 'nodejs', 'c++': 'cpp', openjdk: 'java', cpython: 'python', pypy: 'python' };

function read({ attributes }: ForeignResource): string | null {
  // Our own units are bundles for Node.js.
  if (attributes.has(attr.unit)) return 'nodejs';
  // Jaeger's clients sign as C++-0.4.2; runtimes call themselves OpenJDK Runtime Environment.
  for (const name of ['telemetry.sdk.language', 'process.runtime.name', 'jaeger.version']) {
    const value = attributes.get(name);
    if (typeof value !== 'string' || value === '') continue;
    const [word = ''] = value.toLowerCase().split(name === 'jaeger.version' ? '-' : ' ', 1);
    if (word !== '') return names[word] ?? word.slice(0, 30);
  }
  return null;
}
