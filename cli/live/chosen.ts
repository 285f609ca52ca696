import { stat } from 'node:fs/promises';
import { type Configuration, fail } from '../../compiler/contracts/index.ts';
import { readJournal } from '../../optimizer/journal.ts';
import type { Report } from '../../reports/report.ts';
import { layoutOf } from '../layouts.ts';
import type { Project } from '../project.ts';
import { findRunFolder, type RunFolder, readJson } from '../run-folder.ts';
import { readStoredScenario } from '../stored-scenario.ts';
import { winnerOf } from '../winner.ts';

/** What somebody wants to run: a layout of a run, or a file that holds one. */
export interface Chosen {
  readonly configuration: Configuration;
  /** For people: `layout 3 of run …`. */
  readonly what: string;
  /** Present for a layout of a run. */
  readonly run?: { readonly folder: RunFolder; readonly report: Report };
}

/**
 * @param wanted run id, run folder, layout name or layout file
 * @param trial number of a trial of the run; default: what the run decided for
 */
export async function chosenLayout(project: Project, runs: string, wanted: string, trial: number | undefined): Promise<Chosen> {
  const isFile = (await stat(wanted).catch(() => null))?.isFile() === true;
  if (isFile || ['baseline', 'all-in-one', 'one-per-agent'].includes(wanted)) {
    if (trial !== undefined) fail('DMAS_CLI_USAGE', `--trial names a trial of a run, and ${wanted} is a layout`);
    return { configuration: await layoutOf(project, wanted), what: `layout ${wanted}` };
  }
  const folder = await findRunFolder(runs, wanted);
  const { name } = await readStoredScenario(folder);
  if (name !== project.scenario.name)
    fail('DMAS_CLI_USAGE', `run ${folder.id} is of scenario ${name}, what is deployed is ${project.scenario.name}`);
  const report = await readJson<Report>(folder.file('report.json'));
  if (trial === undefined) {
    const configuration = winnerOf(await readJournal(folder.file('journal.ndjson')), project.baseline);
    return { configuration, what: `the layout run ${folder.id} decided for`, run: { folder, report } };
  }
  const found = report.trials.find(({ number }) => number === trial);
  if (found === undefined)
    fail('DMAS_CLI_USAGE', `run ${folder.id} has no trial ${trial}`, { allowed: report.trials.map(({ number }) => String(number)) });
  return { configuration: found.configuration, what: `trial ${trial} of run ${folder.id}`, run: { folder, report } };
}
