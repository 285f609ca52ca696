import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Folders from which packages are looked for, told to programs of ours whose own code lies in a scratch folder. */
export const packageFoldersVariable = 'DMAS_PACKAGES';

/**
 * Where a package lies that cannot be part of a bundle, since it brings native code: looked for from the folders a target tells (those
 * of the scenario and of dmas-opt), the working folder and this file. Undefined where nobody installed it.
 */
export function optionalPackageUrl(name: string): string | undefined {
  const told = (process.env[packageFoldersVariable] ?? '').split(delimiter).filter((folder) => folder !== '');
  const bases = [...told, process.cwd()].map((folder) => join(folder, 'package.json'));
  for (const base of [...bases, import.meta.url]) {
    try {
      return pathToFileURL(createRequire(base).resolve(name)).href;
    } catch {
      // The next one.
    }
  }
  return undefined;
}
