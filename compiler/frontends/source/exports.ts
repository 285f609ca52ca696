import type { Place, SourceRef } from '../../contracts/index.ts';
import type { LoadedSource, UserModule } from './load.ts';

/** Where a value is exported: in the file that defines it, rather than in one that passes it on. */
export function findExport(source: LoadedSource, value: unknown): SourceRef | undefined {
  let passedOn: SourceRef | undefined;
  for (const module of source.modules) {
    for (const [exportName, exported] of Object.entries(module.exports)) {
      if (exported !== value) continue;
      const ref = { module: module.module, exportName };
      if (definitionOf(module, exportName) !== undefined) return ref;
      passedOn ??= ref;
    }
  }
  return passedOn;
}

/** The line of a definition in its file; the file alone when the line cannot be told. */
export function placeOfExport(source: LoadedSource, ref: SourceRef): Place {
  const module = source.modules.find((candidate) => candidate.module === ref.module);
  if (module === undefined) return { file: source.file };
  const found = definitionOf(module, ref.exportName);
  return found === undefined ? { file: module.path } : { file: module.path, ...found };
}

/** The first mention of a quoted name in the user's files: where a contract that is not exported stands, most likely. */
export function placeOfName(source: LoadedSource, name: string): Place {
  const pattern = new RegExp(`(['"\`])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\1`);
  for (const module of source.modules) {
    const match = pattern.exec(module.text);
    if (match !== null) return { file: module.path, ...positionAt(module.text, match.index), length: match[0].length };
  }
  return { file: source.file };
}

function definitionOf(module: UserModule, exportName: string): { line: number; column: number; length: number } | undefined {
  if (exportName === 'default') {
    const match = /^export\s+default\b/m.exec(module.text);
    return match === null ? undefined : { ...positionAt(module.text, match.index), length: match[0].length };
  }
  const name = exportName.replaceAll('$', '\\$');
  const match = new RegExp(`^(?:export\\s+)?(?:const|let|var|function|class)\\s+(${name})(?![\\w$])`, 'm').exec(module.text);
  if (match === null) return undefined;
  return { ...positionAt(module.text, match.index + match[0].length - exportName.length), length: exportName.length };
}

export function positionAt(text: string, index: number): { line: number; column: number } {
  const before = text.slice(0, index);
  return { line: before.split('\n').length, column: index - before.lastIndexOf('\n') };
}
