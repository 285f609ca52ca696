import { type Configuration, exitCodes, type StageContext, type Study } from '../compiler/contracts/index.ts';
import { openJournal } from '../optimizer/journal.ts';
import type { Planning } from '../optimizer/study/input.ts';
import { trialsOf } from '../optimizer/study/trials.ts';
import { runStudy } from '../optimizer/study.ts';
import { type Collector, isTraceCollector } from '../profiler/collect/collector.ts';
import { lastOf } from '../reports/build.ts';
import type { Target } from '../runtime/targets/target.ts';
import { writeBest } from './best.ts';
import { type Interrupt, listenForInterrupt } from './interrupt.ts';
import { compileLive, createLaboratory, deployConfiguration } from './laboratory.ts';
import { referencesOf } from './layouts.ts';
import { serveLive } from './live/serve.ts';
import { machineFacts } from './machine.ts';
import { toolVersion } from './package-files.ts';
import { openTarget, type Project } from './project.ts';
import { collectors } from './registry.ts';
import { renderEnding } from './render/ending.ts';
import { createProgress, type ProgressMode, resultOutput } from './render/progress.ts';
import { type RoomForSearch, roomForSearch } from './room.ts';
import type { RunFolder } from './run-folder.ts';
import { createStudyPlanning } from './study-planning.ts';
import { capacityClients, studyTiming } from './timing.ts';
import { winnerOf } from './winner.ts';
import { writeReport } from './write-report.ts';

export interface SessionOptions {
  readonly progress: ProgressMode;
  readonly keep?: boolean;
  readonly timeMs: number;
  readonly trials: number;
  readonly moneyUsd?: number | undefined;
  readonly gpuHours?: number | undefined;
  /** Layouts to measure instead of searching. */
  readonly given?: readonly Configuration[];
}

/** What a session has open; closed in reverse order, whatever happens. */
interface Tools {
  readonly target: Target;
  readonly collector: Collector;
  readonly context: StageContext;
  readonly interrupt: Interrupt;
}

/** One sitting of a study, new or resumed: measure, decide, report, redeploy the best. Returns the exit code. */
export async function runSession(project: Project, folder: RunFolder, options: SessionOptions): Promise<number> {
  const progress = createProgress(options.progress);
  const interrupt = listenForInterrupt(() =>
    progress.emit({ type: 'notice', severity: 'info', message: 'ending cleanly; Ctrl-C again to stop at once' }),
  );
  const context: StageContext = { emit: progress.emit, signal: interrupt.signal, now: Date.now, seed: project.scenario.config.seed };
  const target = await openTarget(project);
  for (const line of await target.clean())
    context.emit({ type: 'notice', severity: 'info', message: `removed what a dead run left behind: ${line}` });
  const collector = await startCollector();
  const tools: Tools = { target, collector, context, interrupt };
  try {
    const study = await measure(project, folder, options, tools);
    context.emit({ type: 'phase', phase: 'report', title: 'Report' });
    const report = await writeReport(project, folder, study);
    const winner = winnerOf(study, project.baseline);
    await writeBest(project, folder, winner);
    progress.close();
    resultOutput(options.progress).write(renderEnding(report, folder));
    if (!interrupt.signal.aborted && lastOf(study, 'study-ended')) await redeploy(project, folder, winner, options, tools);
    return exitCodeOf(study);
  } finally {
    progress.close();
    interrupt.dispose();
    await collector.close();
  }
}

async function measure(project: Project, folder: RunFolder, options: SessionOptions, tools: Tools): Promise<Study> {
  const { context } = tools;
  const journal = await openJournal(folder.file('journal.ndjson'));
  try {
    const clients = capacityClients(project);
    // A study that has ended is told of again wherever its cluster is; what deploys says that none answers.
    const room = roomForSearch(project, (await tools.target.room?.().catch(() => null)) ?? null);
    const planning = createStudyPlanning(project, folder, journal, options.given, room);
    return await runStudy(
      {
        studyId: folder.id,
        toolVersion: toolVersion(),
        machine: machineFacts(),
        scenario: project.scenario,
        workflow: project.workflow,
        baseline: project.baseline,
        references: () => referencesOf(project),
        laboratory: await createLaboratory({ project, folder, ...tools }),
        journal,
        planning: { ...planning, search: tellingOfRoom(planning.search, room, context) },
        timing: studyTiming(project.scenario),
        ...(clients === undefined ? {} : { capacityClients: clients }),
        budget: { timeMs: options.timeMs, trials: options.trials, moneyUsd: options.moneyUsd, gpuHours: options.gpuHours },
      },
      context,
    );
  } finally {
    await journal.close();
  }
}

/** A search that found no room for something says so, once. */
const tellingOfRoom =
  (search: Planning['search'], room: RoomForSearch, { emit }: StageContext): Planning['search'] =>
  async (...request) => {
    const found = await search(...request);
    const reason = room.reason();
    if (reason !== null) emit({ type: 'notice', severity: 'info', message: `layouts without room are left out: ${reason}` });
    return found;
  };

/** On loopback only: a target whose processes live elsewhere relays to it. */
async function startCollector(): Promise<Collector> {
  const descriptor = collectors.find(isTraceCollector);
  if (descriptor === undefined) throw new RangeError('nothing collects traces');
  return (await descriptor.load()).start('127.0.0.1');
}

/** Starts the best layout once more from its plan: with `--keep` it serves until Ctrl-C, otherwise it is taken down. */
async function redeploy(project: Project, folder: RunFolder, winner: Configuration, options: SessionOptions, tools: Tools): Promise<void> {
  if (!options.keep) return;
  const { context } = tools;
  const compiled = await compileLive(project, winner);
  const deployment = await deployConfiguration({ project, folder, ...tools }, winner, `${folder.id.slice(-4)}-kept`, context, {
    compiled,
    ingressPort: project.scenario.config.ingress.port,
  });
  try {
    resultOutput(options.progress).write(`Serving the best layout at ${deployment.ingressUrls.join(' ')} until Ctrl-C\n`);
    await serveLive(deployment, { project, folder, configuration: winner, bundles: compiled.bundles }, context);
  } finally {
    await deployment.stop();
  }
}

function exitCodeOf(study: Study): number {
  if (!lastOf(study, 'study-ended') && lastOf(study, 'interrupted')) return exitCodes.interrupted;
  // Blocks that a busy host spoilt are no failure of a layout: the loop completed, and the report says what it could not tell.
  if (lastOf(study, 'decided')?.kind === 'nothing-measured' && trialsOf(study).every((trial) => trial.state === 'failed'))
    return exitCodes.allTrialsFailed;
  return lastOf(study, 'capped') ? exitCodes.capped : exitCodes.success;
}
