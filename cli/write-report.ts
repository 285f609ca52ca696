import { mkdir } from 'node:fs/promises';
import type { Study } from '../compiler/contracts/index.ts';
import { describeChanges, describeResources } from '../compiler/plan/describe.ts';
import { buildTraces } from '../profiler/analyze/tree.ts';
import { typicalWaterfall } from '../profiler/analyze/waterfall.ts';
import { readTraces, tracesFile } from '../profiler/store/traces.ts';
import { buildReport, lastOf } from '../reports/build.ts';
import type { Report, Waterfall } from '../reports/report.ts';
import { toolVersion } from './package-files.ts';
import type { Project } from './project.ts';
import { views } from './registry.ts';
import { type RunFolder, writeWhole } from './run-folder.ts';
import { createStudyPlanning } from './study-planning.ts';
import { winnerOf } from './winner.ts';

/** Builds the report of a study and writes its views; the default is all of them into the run folder. */
export async function writeReport(
  project: Project,
  folder: RunFolder,
  study: Study,
  formats?: readonly string[],
  out = folder.path,
): Promise<Report> {
  const report = buildReport({
    study,
    scenario: project.scenario,
    toolVersion: toolVersion(),
    describe: (configuration) =>
      configuration.units.map(
        (unit) => `${unit.components.join(' + ')}${unit.replicas > 1 ? ` × ${unit.replicas}` : ''} (${describeResources(unit.resources)})`,
      ),
    changes: describeChanges,
    waterfalls: await waterfalls(study, folder),
    explanation: createStudyPlanning(project, folder, { study }).explain(winnerOf(study, project.baseline)),
    apply: 'node best/start.mjs',
  });
  await mkdir(out, { recursive: true });
  for (const descriptor of views) {
    if (formats && !formats.includes(descriptor.id)) continue;
    const view = await descriptor.load();
    for (const file of view.render(report)) await writeWhole(`${out}/${file.name}`, file.content);
  }
  return report;
}

/** A typical request of the baseline and of the winner, from the blocks that traced most. */
async function waterfalls(study: Study, folder: RunFolder): Promise<Report['waterfalls']> {
  const baseline = study.entries.find((entry) => entry.type === 'trial-added' && entry.number === 0);
  const winner = lastOf(study, 'decided')?.winner;
  const baselineId = baseline?.type === 'trial-added' ? baseline.configurationId : undefined;
  const before = baselineId === undefined ? null : await typical(study, folder, baselineId);
  const after = winner === undefined || winner === baselineId ? null : await typical(study, folder, winner);
  return { before, after };
}

async function typical(study: Study, folder: RunFolder, configurationId: string): Promise<Waterfall | null> {
  const blocks = [...study.blocks.values()]
    .filter((block) => block.configurationId === configurationId && block.samplingRatio > 0)
    .sort((a, b) => b.samplingRatio - a.samplingRatio);
  for (const block of blocks) {
    const spans = await readTraces(tracesFile(folder.path, block.id)).catch(() => []);
    const found = typicalWaterfall(buildTraces(spans).requests, configurationId);
    if (found) return found;
  }
  return null;
}
