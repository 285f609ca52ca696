import { openProject } from '../project.ts';
import { renderProblems } from '../render/problems.ts';
import type { ProgressMode } from '../render/progress.ts';
import { readText } from '../render/source-text.ts';
import { createRunFolder, writeJson } from '../run-folder.ts';
import { runSession } from '../study-session.ts';

interface RunOptions {
  readonly target?: string;
  readonly seed?: number;
  /** In milliseconds. */
  readonly maxTime?: number;
  readonly maxTrials?: number;
  readonly maxCost?: number;
  readonly maxGpuHours?: number;
  readonly keep?: boolean;
  readonly runs: string;
  readonly progress: ProgressMode;
}

/** The whole loop. What was asked is written down first, so that `resume` needs no scenario file. */
export async function run(file: string, options: RunOptions): Promise<number> {
  const project = await openProject(file, options);
  if (project.warnings.length > 0) process.stderr.write(`${renderProblems(project.warnings, readText)}\n\n`);
  const folder = await createRunFolder(options.runs, project.scenario.name, Date.now());
  const { budget } = project.scenario.config;
  const session = {
    progress: options.progress,
    timeMs: options.maxTime ?? budget.time,
    trials: options.maxTrials ?? budget.trials,
    moneyUsd: options.maxCost ?? budget.money,
    gpuHours: options.maxGpuHours ?? budget.gpuHours,
  };
  await writeJson(folder.file('scenario.json'), project.written);
  await writeJson(folder.file('workflow.json'), project.workflow);
  await writeJson(folder.file('session.json'), session);
  return runSession(project, folder, { ...session, keep: options.keep ?? false });
}
