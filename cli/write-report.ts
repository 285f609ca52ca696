import { mkdir } from 'node:fs/promises';
import type { Block, Study } from '../compiler/contracts/index.ts';
import { describeChanges, describeResources } from '../compiler/plan/describe.ts';
import { buildTraces, type RequestTrace } from '../profiler/analyze/tree.ts';
import { waterfall } from '../profiler/analyze/waterfall.ts';
import { median } from '../profiler/stats/quantiles.ts';
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

/** A typical request of the baseline and of the winner. */
async function waterfalls(study: Study, folder: RunFolder): Promise<Report['waterfalls']> {
  const baseline = study.entries.find((entry) => entry.type === 'trial-added' && entry.number === 0);
  const winner = lastOf(study, 'decided')?.winner;
  const baselineId = baseline?.type === 'trial-added' ? baseline.configurationId : undefined;
  const before = baselineId === undefined ? null : await typical(study, folder, baselineId);
  const after = winner === undefined || winner === baselineId ? null : await typical(study, folder, winner);
  return { before, after };
}

/** Of all traced requests of a layout the one whose latency is nearest to its median, so that before and after compare. */
async function typical(study: Study, folder: RunFolder, configurationId: string): Promise<Waterfall | null> {
  const blocks = [...study.blocks.values()].filter((block) => block.configurationId === configurationId && block.purpose !== 'capacity');
  const requestClass = mainClass(blocks);
  const medianMs = median(blocks.flatMap((block) => block.classes[requestClass]?.latencyMs?.p50 ?? []));
  if (medianMs === null) return null;
  let nearest: { readonly request: RequestTrace; readonly offMs: number } | null = null;
  for (const block of blocks.filter((candidate) => candidate.samplingRatio > 0)) {
    const spans = await readTraces(tracesFile(folder.path, block.id)).catch(() => []);
    for (const request of buildTraces(spans).requests) {
      const offMs = Math.abs(request.root.span.durationMs - medianMs);
      if (request.requestClass === requestClass && request.root.span.ok && (nearest === null || offMs < nearest.offMs))
        nearest = { request, offMs };
    }
  }
  return nearest && waterfall(nearest.request, configurationId);
}

function mainClass(blocks: readonly Block[]): string {
  const [first] = Object.entries(blocks[0]?.classes ?? {}).sort((a, b) => b[1].requests - a[1].requests);
  return first?.[0] ?? '';
}
