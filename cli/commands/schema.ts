import { readFile } from 'node:fs/promises';
import { packageFile } from '../package-files.ts';

export async function schema(): Promise<number> {
  process.stdout.write(await readFile(packageFile('scenarios/scenario.schema.json'), 'utf8'));
  return 0;
}
