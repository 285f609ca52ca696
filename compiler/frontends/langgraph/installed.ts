import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type CompiledGraph, isSupported, kitExports, missingFields, supportedVersions } from './fields.ts';
import { installedVersion } from './version.ts';

export interface InstalledLanggraph {
  readonly version: string;
  readonly ok: boolean;
  readonly says: string;
}

/**
 * Looks at the `@langchain/langgraph` that code in a folder imports: its version, and whether a graph it compiles has every
 * field that is used. Undefined when there is none. Imports the package.
 */
export async function checkInstalled(folder: string): Promise<InstalledLanggraph | undefined> {
  const version = installedVersion(folder);
  if (version === undefined) return undefined;
  const missing = await missingIn(folder).catch((error: unknown) => [
    `a package that can be imported (${error instanceof Error ? error.message : error})`,
  ]);
  if (missing.length > 0) return { version, ok: false, says: `${version} lacks ${missing.join(', ')}; supported is ${supportedVersions}` };
  if (isSupported(version)) return { version, ok: true, says: `${version}; graphs can be taken apart` };
  return { version, ok: true, says: `${version} is not among the versions tested (${supportedVersions}), but has all that is used` };
}

async function missingIn(folder: string): Promise<readonly string[]> {
  const file = createRequire(join(folder, 'package.json')).resolve('@langchain/langgraph');
  const library = (await import(pathToFileURL(file).href)) as { readonly [name: string]: unknown };
  const absent = [...kitExports, 'StateGraph', 'Annotation', 'START'].filter((name) => library[name] === undefined);
  if (absent.length > 0) return absent;
  return missingFields(tinyGraph(library as never));
}

interface Builder {
  addNode(name: string, run: () => object): Builder;
  addEdge(from: string, to: string): Builder;
  compile(): unknown;
}

function tinyGraph({
  StateGraph,
  Annotation,
  START,
}: {
  StateGraph: new (state: unknown) => Builder;
  Annotation: { (): unknown; Root(spec: object): unknown };
  START: string;
}): CompiledGraph {
  const state = Annotation.Root({ value: Annotation() });
  return new StateGraph(state)
    .addNode('a', () => ({}))
    .addNode('b', () => ({}))
    .addEdge(START, 'a')
    .addEdge('a', 'b')
    .compile() as CompiledGraph;
}
