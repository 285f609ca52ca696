import { relative, resolve } from 'node:path';
import { fail } from '../../compiler/contracts/index.ts';
import { readJournal } from '../../optimizer/journal.ts';
import { openScenario } from '../project.ts';
import { views } from '../registry.ts';
import { renderEnding } from '../render/ending.ts';
import { findRunFolder } from '../run-folder.ts';
import { readStoredScenario } from '../stored-scenario.ts';
import { writeReport } from '../write-report.ts';

/** Any view of any old run, from what it stored; nothing is measured. */
export async function report(
  run: string | undefined,
  options: { readonly runs: string; readonly format?: readonly string[]; readonly out?: string },
): Promise<number> {
  const known = views.map((view) => view.id as string);
  const unknown = options.format?.find((format) => !known.includes(format));
  if (unknown !== undefined) fail('DMAS_CLI_USAGE', `unknown format "${unknown}"`, { allowed: known });
  const folder = await findRunFolder(options.runs, run);
  const project = await openScenario(await readStoredScenario(folder));
  const out = options.out === undefined ? folder.path : resolve(options.out);
  const built = await writeReport(project, folder, await readJournal(folder.file('journal.ndjson')), options.format, out);
  process.stdout.write(options.out === undefined ? renderEnding(built, folder) : `Wrote ${relative(process.cwd(), out) || out}\n`);
  return 0;
}
