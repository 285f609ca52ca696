import { readdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { type CassetteEntry, cassetteSuffix, exitCodes, fail, type StageContext } from '../../compiler/contracts/index.ts';
import { withRecorders } from '../../compiler/plan/tape.ts';
import { readCassette, writeCassette } from '../../runtime/replay/cassette-file.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { deployConfiguration } from '../laboratory.ts';
import { openProject, openTarget, type Project } from '../project.ts';
import { type Driven, driveInputs } from '../record-inputs.ts';
import { renderProblems } from '../render/problems.ts';
import { createProgress, type ProgressMode } from '../render/progress.ts';
import { readText } from '../render/source-text.ts';
import { createRunFolder, type RunFolder } from '../run-folder.ts';
import { recordingEffects } from '../side-effects.ts';

interface RecordOptions {
  readonly target?: string;
  readonly out?: string;
  /** How often each input is sent. */
  readonly passes: number;
  readonly progress: ProgressMode;
}

/**
 * Runs the baseline on the models as they are, sends every input, and writes down what was asked and answered. Entries are
 * added to the cassette that is there; what was recorded before a failure or an interrupt is kept.
 */
export async function record(file: string, options: RecordOptions): Promise<number> {
  const project = await openProject(file, { target: options.target, live: true });
  if (project.warnings.length > 0) process.stderr.write(`${renderProblems(project.warnings, readText)}\n\n`);
  insistOnPermission(project);
  const out = resolve(options.out ?? resolve(project.scenario.folder, project.scenario.config.record.file));
  const target = await openTarget(project);
  await target.clean();
  const progress = createProgress(options.progress);
  const interrupt = listenForInterrupt(() =>
    progress.emit({ type: 'notice', severity: 'info', message: 'ending; what was recorded is kept' }),
  );
  const context: StageContext = { emit: progress.emit, signal: interrupt.signal, now: Date.now, seed: project.scenario.config.seed };
  const folder = await createRunFolder('.dmas-opt/recordings', project.scenario.name, Date.now());
  const id = `${folder.id.slice(-4)}-record`;
  let driven: Driven = { sent: 0, answered: 0, failures: [] };
  let failure: unknown;
  try {
    driven = await recordDeployed(project, folder, id, target, context, options.passes);
  } catch (error) {
    failure = error;
  } finally {
    progress.close();
    interrupt.dispose();
  }
  const kept = await collect(folder, id, out);
  tell(project, out, kept, driven);
  if (failure !== undefined) throw failure;
  if (interrupt.signal.aborted) return exitCodes.interrupted;
  if (driven.failures.length > 0) {
    const [first] = driven.failures;
    fail(
      'DMAS_RECORD_INCOMPLETE',
      `${driven.failures.length} of ${driven.sent} requests had no answer, the first (${first?.input}) because of: ${first?.reason}`,
      {
        fix: `see the logs in ${relative(process.cwd(), join(folder.file('deployments'), id, 'logs'))}`,
      },
    );
  }
  return exitCodes.success;
}

/** Nobody's replies are stored because of a default. */
function insistOnPermission({ written }: Project): void {
  if (Object.keys(written.places).some((path) => path === 'record.content')) return;
  fail('DMAS_RECORD_PERMISSION', 'the scenario does not say what a recording may store, and without replies nothing can be replayed', {
    at: { file: written.file, ...(written.places.record ?? {}) },
    allowed: ['hash', 'replies', 'full'],
    fix: 'add record: { content: replies }; prompts are then kept as hashes, replies as they are, secrets never',
  });
}

async function recordDeployed(
  project: Project,
  folder: RunFolder,
  id: string,
  target: Awaited<ReturnType<typeof openTarget>>,
  context: StageContext,
  passes: number,
): Promise<Driven> {
  const { policy, stubbedTools } = recordingEffects(project);
  const { content, ignore, concurrency } = project.scenario.config.record;
  const deployment = await deployConfiguration({ project, target, folder, context }, project.baseline, id, context, {
    stubbedTools,
    effects: policy,
    change: (plan) => withRecorders(plan, { content, ignore }),
  });
  try {
    return await driveInputs(project.workload, deployment.ingressUrls, { passes, concurrency, block: id }, context);
  } finally {
    await deployment.stop();
  }
}

/** Brings together what the proxies and units wrote. A line that a killed process did not finish is lost, and no other. */
async function collect(
  folder: RunFolder,
  id: string,
  out: string,
): Promise<{ readonly fresh: number; readonly all: readonly CassetteEntry[] }> {
  const state = join(folder.file('deployments'), id, 'state');
  const files = (await readdir(state).catch(() => [])).filter((name) => name.endsWith(cassetteSuffix));
  const pieces = await Promise.all(files.map(async (name) => (await readCassette(join(state, name))).entries));
  const before = await readCassette(out).catch(() => ({ entries: [] as readonly CassetteEntry[], problems: [] }));
  const fresh = pieces.reduce((sum, entries) => sum + entries.length, 0);
  if (fresh === 0) return { fresh, all: before.entries };
  return { fresh, all: await writeCassette(out, before.entries, ...pieces) };
}

function tell(
  { scenario, written }: Project,
  out: string,
  { fresh, all }: Awaited<ReturnType<typeof collect>>,
  { sent, answered }: Driven,
): void {
  const { content } = scenario.config.record;
  const name = relative(process.cwd(), out) || out;
  const stored = { hash: 'sizes and hashes, no replies', replies: 'replies, prompts as hashes', full: 'prompts and replies' }[content];
  process.stdout.write(`${answered} of ${sent} requests answered; ${fresh} exchanges recorded (${stored})\n`);
  if (fresh > 0) process.stdout.write(`Wrote ${name}: ${all.length} entries\n`);
  if (content === 'hash') process.stdout.write('Nothing can be replayed from it: that needs record: { content: replies }\n');
  else if (fresh > 0 && !written.config.replay)
    process.stdout.write(`Next: replay: { cassette: ${name} } in the scenario, then dmas-opt run\n`);
}
