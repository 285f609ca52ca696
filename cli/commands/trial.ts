import { insistOn, layoutOf } from '../layouts.ts';
import { openProject } from '../project.ts';
import type { ProgressMode } from '../render/progress.ts';
import { createRunFolder, writeJson } from '../run-folder.ts';
import { runSession, type SessionOptions } from '../study-session.ts';

interface TrialOptions {
  readonly target?: string;
  readonly runs: string;
  readonly progress: ProgressMode;
}

/** A study in which the layouts are given instead of searched: the same rounds, statistics and report. */
export async function trial(file: string, layouts: readonly string[], options: TrialOptions): Promise<number> {
  const project = await openProject(file, options);
  const given = await Promise.all(layouts.map((layout) => layoutOf(project, layout)));
  for (const configuration of given) insistOn(project, configuration);
  const folder = await createRunFolder(options.runs, project.scenario.name, Date.now());
  const { budget } = project.scenario.config;
  const session: SessionOptions = {
    progress: options.progress,
    timeMs: budget.time,
    trials: Math.max(budget.trials, layouts.length + 3),
    moneyUsd: budget.money,
    gpuHours: budget.gpuHours,
    given,
  };
  await writeJson(folder.file('scenario.json'), project.written);
  await writeJson(folder.file('workflow.json'), project.workflow);
  await writeJson(folder.file('session.json'), session);
  return runSession(project, folder, session);
}
