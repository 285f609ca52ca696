import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { didYouMean, fail } from '../../compiler/contracts/index.ts';
import { packageFile } from '../package-files.ts';

/** Copies an example scenario and points its modeline at the schema of this version. */
export async function init(folder: string, options: { readonly example: string; readonly force?: boolean }): Promise<number> {
  const examples = (await readdir(packageFile('scenarios'), { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  if (!examples.includes(options.example)) {
    const guess = didYouMean(options.example, examples);
    fail('DMAS_CLI_USAGE', `there is no example "${options.example}"`, {
      allowed: examples,
      ...(guess === undefined ? {} : { didYouMean: guess }),
    });
  }
  const from = packageFile(`scenarios/${options.example}`);
  const to = resolve(folder);
  await mkdir(to, { recursive: true });
  const present = new Set(await readdir(to));
  // A folder's own README stays; the example's is worth less than it.
  const files = (await readdir(from)).filter((name) => name !== 'README.md' || !present.has(name));
  const clashes = files.filter((name) => present.has(name));
  if (clashes.length > 0 && !options.force) {
    fail('DMAS_CLI_USAGE', `${folder} already has ${clashes.join(', ')}`, { fix: 'choose another folder, or --force to overwrite' });
  }
  for (const name of files) await cp(join(from, name), join(to, name), { recursive: true });
  const scenarioFile = join(to, 'scenario.yaml');
  const schema = relative(to, packageFile('scenarios/scenario.schema.json')).split(sep).join('/');
  const text = await readFile(scenarioFile, 'utf8');
  await writeFile(scenarioFile, text.replace(/^# yaml-language-server: .*$/m, `# yaml-language-server: $schema=${schema}`));
  process.stdout.write(
    `Wrote ${relative(process.cwd(), scenarioFile) || scenarioFile}\nNext: dmas-opt run ${relative(process.cwd(), scenarioFile) || scenarioFile}\n`,
  );
  return 0;
}
