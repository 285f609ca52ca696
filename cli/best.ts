import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleJob, bundlePlan } from '../compiler/bundle.ts';
import type { Configuration } from '../compiler/contracts/index.ts';
import { printPlan } from '../compiler/plan/print.ts';
import { planOf } from './laboratory.ts';
import type { Project } from './project.ts';
import { type RunFolder, writeJson } from './run-folder.ts';

/** Files that start a layout by themselves: `node best/start.mjs` needs Node and nothing else. */
export async function writeBest(project: Project, folder: RunFolder, configuration: Configuration): Promise<void> {
  await writeLayout(project, folder.file('best'), configuration);
}

/** The bundles, plan, entries and starter of one layout in a folder of its own; what was there is replaced. */
export async function writeLayout(project: Project, path: string, configuration: Configuration): Promise<void> {
  const plan = planOf(project, configuration, true);
  const bundles = await bundlePlan({ plan, workflow: project.workflow, cassette: project.recording?.text });
  await rm(path, { recursive: true, force: true });
  for (const part of ['bundles', 'entries']) await mkdir(join(path, part), { recursive: true });
  for (const bundle of bundles) {
    await writeFile(join(path, 'bundles', `${bundle.id}.mjs`), bundle.code);
    await writeFile(join(path, 'entries', `${bundle.id}.ts`), bundle.entry);
  }
  await writeJson(join(path, 'configuration.json'), configuration);
  await writeJson(join(path, 'plan.json'), plan);
  await writeFile(join(path, 'plan.txt'), printPlan(plan));
  // Commands of others run where they lie; the starter takes DMAS_OPT_SOURCE_FOLDER where that has moved.
  if (plan.units.some((unit) => unit.program !== undefined))
    await writeJson(join(path, 'source.json'), { folder: project.scenario.folder });
  await writeFile(join(path, 'start.mjs'), await bundleJob('runtime/targets/start-main'));
}
