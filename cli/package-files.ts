import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Absolute path of a file shipped in the package, from the sources as well as from the built files. */
export function packageFile(path: string): string {
  const root = import.meta.filename.endsWith('.ts') ? '../' : '../../';
  return fileURLToPath(new URL(root + path, import.meta.url));
}

/** Version of the package. */
export function toolVersion(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}
