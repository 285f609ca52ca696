import type { SourceRef } from '../contracts/index.ts';

/** Collects the imports of a generated entry and hands out local names, no two of them equal. */
export class Imports {
  readonly #modules = new Map<string, Map<string, string>>();
  readonly #taken = new Set<string>();

  /** The local name of an export of a module. */
  of(module: string, exportName: string): string {
    const names = this.#modules.get(module) ?? new Map<string, string>();
    this.#modules.set(module, names);
    const known = names.get(exportName);
    if (known !== undefined) return known;
    const wish = exportName === 'default' ? localName(module) : exportName;
    let local = wish;
    for (let n = 2; this.#taken.has(local); n++) local = `${wish}${n}`;
    this.#taken.add(local);
    names.set(exportName, local);
    return local;
  }

  /** A part of the user's code; modules are relative to the workflow's folder. */
  ofSource(source: SourceRef): string {
    return this.of(source.module.startsWith('.') ? source.module : `./${source.module}`, source.exportName);
  }

  /** Import statements: ours first, then the user's, each sorted. */
  print(): string {
    const rank = (module: string) => (module.startsWith('.') ? 1 : 0);
    return [...this.#modules]
      .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
      .map(([module, names]) => {
        const list = [...names]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, local]) => (name === local ? name : `${name} as ${local}`));
        return `import { ${list.join(', ')} } from '${module}';`;
      })
      .join('\n');
  }
}

/** `./my-agent.ts` → `myAgent`. */
const localName = (module: string) => camelCase((module.split('/').at(-1) ?? 'part').replace(/\.[cm]?[jt]sx?$/, ''));

/** The export name of a plug-in's descriptor: its id in camel case (`http-json` → `httpJson`). */
export const camelCase = (id: string): string =>
  id.replace(/[^A-Za-z0-9]+(\w)/g, (_, letter: string) => letter.toUpperCase()).replace(/^[^A-Za-z_]+/, '');
