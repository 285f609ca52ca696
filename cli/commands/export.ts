import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { bundlePlan } from '../../compiler/bundle.ts';
import {
  type Configuration,
  configurationId,
  DmasError,
  didYouMean,
  fail,
  type Plan,
  type Study,
  type TargetTraits,
} from '../../compiler/contracts/index.ts';
import { containerTraits, type EmittedFile, type EmitterDescriptor } from '../../compiler/emit/emitter.ts';
import { accessOf } from '../../compiler/plan/access.ts';
import { describeChanges } from '../../compiler/plan/describe.ts';
import { planDeployment } from '../../compiler/plan/plan-deployment.ts';
import { readJournal } from '../../optimizer/journal.ts';
import { allOf, buildReport } from '../../reports/build.ts';
import { exportFacts } from '../export-facts.ts';
import { layoutOf } from '../layouts.ts';
import { toolVersion } from '../package-files.ts';
import { planRequest } from '../planning.ts';
import { openScenario, type Project } from '../project.ts';
import { emitters } from '../registry.ts';
import { table } from '../render/format.ts';
import { findRunFolder, type RunFolder, readJson } from '../run-folder.ts';
import { readStoredScenario } from '../stored-scenario.ts';
import { winnerOf } from '../winner.ts';

export interface ExportOptions {
  readonly runs: string;
  readonly format?: string;
  readonly trial?: number;
  readonly layout?: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly list?: boolean;
  /** `option=value`, as the format names its options. */
  readonly set?: readonly string[];
}

/** Writes a layout of any old run as files of somebody else's orchestrator. Nothing is measured or started. */
export async function exportLayout(run: string | undefined, options: ExportOptions): Promise<number> {
  if (options.list) {
    process.stdout.write(`${table([['format', ''], ...emitters.map(({ id, title, traits }) => [id, `${title}: ${traits.formats}`])])}\n`);
    return 0;
  }
  const descriptor = emitterOf(options.format);
  const settings = settingsOf(descriptor, options.set ?? []);
  if (options.trial !== undefined && options.layout !== undefined) fail('DMAS_CLI_USAGE', 'give --trial or --layout, not both');
  const folder = await findRunFolder(options.runs, run);
  const project = await openScenario(await readStoredScenario(folder));
  const study = await readJournal(folder.file('journal.ndjson'));
  const configuration = await wanted(project, study, options);
  const out = resolve(options.out ?? `${project.scenario.name}-${descriptor.id}`);
  const files = await emitLayout({ project, study, folder, configuration, descriptor, settings });
  await writeFiles(out, files, options.force === true);
  const shown = relative(process.cwd(), out) || '.';
  process.stdout.write(
    `Wrote ${files.length} files to ${shown} (configuration ${configurationId(configuration)}). Next: ${join(shown, 'README.md')}\n`,
  );
  return 0;
}

interface EmitRequest {
  readonly project: Project;
  readonly study: Study;
  readonly folder: RunFolder;
  readonly configuration: Configuration;
  readonly descriptor: EmitterDescriptor;
  readonly settings: { readonly [option: string]: unknown };
}

/** The files of one layout in one format. */
export async function emitLayout({
  project,
  study,
  folder,
  configuration,
  descriptor,
  settings,
}: EmitRequest): Promise<readonly EmittedFile[]> {
  const { plan: layoutPlan, notes } = planFor(project, configuration, descriptor);
  const emitter = await descriptor.load();
  const plan = emitter.prepare?.(layoutPlan, settings) ?? layoutPlan;
  const report = buildReport({
    ...{ study, scenario: project.scenario, toolVersion: toolVersion(), changes: describeChanges, apply: '' },
    ...{ describe: () => [], waterfalls: { before: null, after: null }, explanation: [] },
  });
  const facts = exportFacts({
    ...{ study, report, plan: layoutPlan, configuration, notes },
    runId: folder.id,
    scenarioFile: project.scenario.file,
    readyMs: await readyTimes(folder, configurationId(configuration)),
  });
  const bundles = await bundlePlan({ plan, workflow: project.workflow });
  return emitter.emit({ plan, layoutPlan, bundles, access: accessOf(plan), workflow: project.workflow, facts }, settings);
}

function emitterOf(format: string | undefined): EmitterDescriptor {
  const all: readonly EmitterDescriptor[] = emitters;
  const known = all.map(({ id }) => id);
  if (format === undefined) fail('DMAS_CLI_USAGE', 'say which format with --format', { allowed: known });
  const found = all.find(({ id }) => id === format);
  if (found !== undefined) return found;
  const guess = didYouMean(format, known);
  return fail('DMAS_CLI_USAGE', `unknown format "${format}"`, { allowed: known, ...(guess === undefined ? {} : { didYouMean: guess }) });
}

/** Numbers, true and false as such; anything else is text. */
function settingsOf({ id, options }: EmitterDescriptor, given: readonly string[]): { readonly [option: string]: unknown } {
  const entries = given.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) fail('DMAS_CLI_USAGE', `--set ${text}: write option=value`, { allowed: Object.keys(options.shape) });
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  const parsed = options.safeParse(Object.fromEntries(entries.map(([name, value]) => [name, settingOf(value)])));
  if (parsed.success) return parsed.data;
  throw new DmasError(
    parsed.error.issues.map(({ path, message }) => ({
      code: 'DMAS_CLI_USAGE' as const,
      severity: 'error' as const,
      message: `format ${id}: ${[path.join('.'), message].filter((part) => part !== '').join(': ')}`,
      allowed: Object.keys(options.shape),
    })),
  );
}

function settingOf(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The best layout of the run, one of its trials, or one by name or file. */
async function wanted(project: Project, study: Study, { trial, layout }: ExportOptions): Promise<Configuration> {
  if (layout !== undefined) return layoutOf(project, layout);
  if (trial === undefined) return winnerOf(study, project.baseline);
  const trials = allOf(study, 'trial-added');
  const found = trials.find(({ number }) => number === trial);
  return (
    found?.configuration ?? fail('DMAS_CLI_USAGE', `the run has no trial ${trial}`, { allowed: trials.map(({ number }) => String(number)) })
  );
}

/** The plan as it serves, for a place that can do what the format's can. */
function planFor(
  project: Project,
  configuration: Configuration,
  { id, traits }: EmitterDescriptor,
): { plan: Plan; notes: readonly string[] } {
  const targetTraits = traits.target ?? containerTraits;
  const { fitting, changed } = withoutSockets(configuration, targetTraits);
  const { plan, problems } = planDeployment({ ...planRequest(project, fitting, true), target: id, targetTraits });
  if (plan === undefined) throw new DmasError(problems);
  const notes =
    changed.length === 0 ? [] : [`Measured over unix sockets, which cannot be shared here, so TCP is spoken: ${changed.join(', ')}.`];
  return { plan, notes };
}

function withoutSockets(
  configuration: Configuration,
  { unixSockets }: TargetTraits,
): { fitting: Configuration; changed: readonly string[] } {
  const changed = unixSockets
    ? []
    : Object.entries(configuration.channels).flatMap(([channel, { options }]) => (options.transport === 'unix' ? [channel] : []));
  const channels = Object.fromEntries(
    Object.entries(configuration.channels).map(([channel, spoken]) => {
      const { transport: _, ...rest } = spoken.options;
      return [channel, changed.includes(channel) ? { ...spoken, options: rest } : spoken];
    }),
  );
  return { fitting: changed.length === 0 ? configuration : { ...configuration, channels }, changed };
}

/** Of every deployment of a layout that the run wrote down. Older runs did not. */
async function readyTimes(folder: RunFolder, id: string): Promise<readonly number[]> {
  const deployments = await readdir(folder.file('deployments')).catch(() => []);
  const found = await Promise.all(
    deployments.map((name) =>
      readJson<{ configurationId?: string; readyMs?: number }>(join(folder.file('deployments'), name, 'ready.json')).catch(() => null),
    ),
  );
  return found.flatMap((ready) => (ready?.configurationId === id && typeof ready.readyMs === 'number' ? [ready.readyMs] : []));
}

async function writeFiles(out: string, files: readonly EmittedFile[], force: boolean): Promise<void> {
  const present = await readdir(out).catch(() => []);
  if (present.length > 0 && !force)
    fail('DMAS_CLI_USAGE', `${relative(process.cwd(), out) || out} is not empty`, {
      fix: 'choose another folder with --out, or --force to overwrite',
    });
  // What an earlier export left and this one has no more goes; what is not an export's stays.
  const listFile = join(out, listName);
  const before = (await readFile(listFile, 'utf8').catch(() => '')).split('\n').filter((path) => path !== '');
  const now = new Set(files.map(({ path }) => path));
  for (const path of before) if (!now.has(path) && isInside(path)) await rm(join(out, path), { force: true });
  for (const { path, content, mode } of files) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), content);
    if (mode !== undefined) await chmod(join(out, path), mode);
  }
  await writeFile(listFile, `${[...now].sort().join('\n')}\n`);
}

/** Names the files of an export, so that the next one into the same folder can take back what it no longer has. */
const listName = '.dmas-opt-export';
const isInside = (path: string): boolean => !path.startsWith('/') && !path.split('/').includes('..');
