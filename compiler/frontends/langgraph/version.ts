import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const name = '@langchain/langgraph';

/** Version of the `@langchain/langgraph` that code in a folder imports; undefined when there is none. */
export function installedVersion(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const file = join(at, 'node_modules', name, 'package.json');
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version;
    if (dirname(at) === at) return undefined;
  }
}
