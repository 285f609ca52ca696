import { extname, join } from 'node:path';

/** The folder that holds our own `compiler`, `runtime` …: the checkout when run from sources, `dist` when installed. */
export const packageRoot = join(import.meta.dirname, '..', '..');

/** `.ts` from sources, `.js` from `dist`. */
const sourceExtension = extname(import.meta.filename);

/** Absolute file of one of our modules, named without extension (`runtime/agent/unit`). */
export const ownModule = (name: string): string => join(packageRoot, `${name}${sourceExtension}`);

/** The file behind the specifiers `dmas-opt` and `dmas-opt/<module>`; undefined for any other specifier. */
export function ownFile(specifier: string): string | undefined {
  if (specifier === 'dmas-opt') return ownModule('compiler/api/index');
  if (!specifier.startsWith('dmas-opt/')) return undefined;
  return ownModule(specifier.slice('dmas-opt/'.length).replace(/\.(ts|js)$/, ''));
}
