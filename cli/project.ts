import {
  type Configuration,
  DmasError,
  fail,
  type Json,
  type LayoutDefaults,
  type Problem,
  type Workflow,
} from '../compiler/contracts/index.ts';
import { readWorkflow } from '../compiler/frontends/read-workflow.ts';
import { baselineConfiguration } from '../compiler/plan/baseline.ts';
import { bindElsewhere } from '../compiler/plan/bind-elsewhere.ts';
import { buildSpace } from '../optimizer/space/build.ts';
import type { Space } from '../optimizer/space/space.ts';
import { readWorkload, type Workload } from '../profiler/load/workload.ts';
import type { Target, TargetDescriptor } from '../runtime/targets/target.ts';
import { checkScenario } from '../scenarios/check.ts';
import { loadScenario } from '../scenarios/load.ts';
import type { Scenario, ScenarioConfig } from '../scenarios/schema.ts';
import { checkCommands, checkFolders, checkOffered } from './elsewhere.ts';
import { engineFits } from './engine-setups.ts';
import { type HardwareProfiles, readHardwareProfiles, withProfileGpus } from './hardware-profiles.ts';
import { checkModelServers } from './model-servers.ts';
import { checkProtected } from './protect.ts';
import { frontends, llmBackends, protocols, searchStrategies, stateStores, targets } from './registry.ts';
import { openRecording, type Recording, studiedConfig, withoutReplay } from './replay.ts';
import { readReplies } from './replies.ts';

/** A scenario that may run: everything read, checked and resolved; nothing started. */
export interface Project {
  readonly scenario: Scenario;
  readonly workflow: Workflow;
  readonly workload: Workload;
  readonly baseline: Configuration;
  readonly defaults: LayoutDefaults;
  readonly space: Space;
  /** Reply scripts of simulated models. */
  readonly replies: { readonly [model: string]: Json };
  /** Hardware profiles out of files, by model. */
  readonly profiles: HardwareProfiles;
  readonly target: TargetDescriptor;
  /** The scenario as it was written: `scenario.config` is what a study runs, in which models of others may be replayed. */
  readonly written: Scenario;
  /** Without any replay: for recording, for deployments that serve, and for the files of the winner. */
  readonly live: ScenarioConfig;
  /** Recorded replies a study takes; absent when it takes none. */
  readonly recording?: Recording;
  /** Warnings; errors were thrown. */
  readonly warnings: readonly Problem[];
}

export interface ProjectOverrides {
  readonly target?: string | undefined;
  readonly seed?: number | undefined;
  /** Without any replay, whatever the scenario says of it. */
  readonly live?: boolean;
}

const llmTraits = Object.fromEntries(llmBackends.map(({ id, traits }) => [id, traits]));
const ids = (plugins: readonly { readonly id: string }[]) => plugins.map((plugin) => plugin.id);

/** Reads and checks a scenario with everything it names. Throws one DmasError with all problems. */
export async function openProject(file: string, overrides: ProjectOverrides = {}): Promise<Project> {
  const loaded = await loadScenario(file, process.env);
  if (!loaded.scenario) throw new DmasError(loaded.problems);
  return openScenario(override(loaded.scenario, overrides), overrides.live);
}

/** The same from a scenario that is already loaded, e.g. from a run folder. */
export async function openScenario(written: Scenario, asWritten = false): Promise<Project> {
  const { profiles, problems: profileProblems } = await readHardwareProfiles(written);
  const live = withProfileGpus(withoutReplay(written.config), profiles);
  const config = asWritten ? live : withProfileGpus(studiedConfig(written.config, llmTraits), profiles);
  const scenario: Scenario = { ...written, config };
  const read = await readWorkflow({
    specifier: config.workflow,
    folder: scenario.folder,
    frontends,
    models: Object.keys(config.models),
  });
  const at = (path: string) => ({ file: scenario.file, ...scenario.places[path] });
  // A problem of the workflow file as a whole is shown where the scenario names it.
  const problems: Problem[] = read.problems.map((problem) =>
    problem.at?.line === undefined ? { ...problem, at: at('workflow') } : problem,
  );
  const { workload, problems: workloadProblems } = await readWorkload(scenario);
  const { replies, problems: replyProblems } = await readReplies(scenario);
  const { recording, problems: recordingProblems } = await openRecording(scenario, config);
  problems.push(...profileProblems, ...workloadProblems, ...replyProblems, ...recordingProblems);
  if (!read.workflow) throw new DmasError(problems);
  const nearest = (path: string) => {
    const parts = path.split('.');
    while (parts.length > 0 && !scenario.places[parts.join('.')]) parts.pop();
    return at(parts.join('.'));
  };
  const { workflow, problems: elsewhereProblems } = bindElsewhere(read.workflow, config.agents, nearest);
  problems.push(
    ...elsewhereProblems,
    ...checkFolders(scenario, nearest),
    ...checkOffered(scenario, workload, nearest),
    ...checkProtected(scenario, workload, nearest),
  );

  const words = {
    protocols: ids(protocols),
    targets: ids(targets),
    stores: ids(stateStores),
    backends: ids(llmBackends),
    strategies: ids(searchStrategies),
  };
  problems.push(...checkScenario(scenario, workflow, words));
  throwErrors(problems);
  const target = targets.find((candidate) => candidate.id === config.target.kind);
  if (!target || !workload) fail('DMAS_CFG_UNKNOWN_TARGET', `unknown target ${config.target.kind}`);

  const { configuration: baseline, problems: baselineProblems } = baselineConfiguration(workflow, config);
  problems.push(...baselineProblems.map((problem) => ({ at: at('baseline'), ...problem })));
  const defaults: LayoutDefaults = {
    protocol: config.baseline.protocol,
    resources: config.baseline.resources,
    serving: baseline?.serving ?? {},
  };
  const { space, problems: spaceProblems } = buildSpace({
    workflow,
    config,
    targetTraits: target.traits,
    protocolIds: ids(protocols),
    defaults,
    fits: (model, options) => engineFits({ config, profiles }, model, options),
    deployed: (model) => llmTraits[config.models[model]?.backend ?? '']?.deployed === true,
  });
  problems.push(...spaceProblems.map((problem) => ({ at: at('search'), ...problem })));
  throwErrors(problems);
  if (!baseline || !space) fail('DMAS_INTERNAL', 'a scenario without errors gave no baseline or no search space');
  const common = {
    scenario,
    workflow,
    workload,
    baseline,
    defaults,
    space,
    replies,
    profiles,
    target,
    warnings: problems,
    written,
    live,
  };
  return recording === undefined ? common : { ...common, recording };
}

function throwErrors(problems: readonly Problem[]): void {
  if (problems.some((problem) => problem.severity === 'error')) throw new DmasError(problems);
}

function override(scenario: Scenario, { target, seed }: ProjectOverrides): Scenario {
  const config = {
    ...scenario.config,
    ...(target === undefined ? {} : { target: { kind: target } }),
    ...(seed === undefined ? {} : { seed }),
  };
  return { ...scenario, config };
}

/** A ready target for a project, or the problems that keep it from being ready. */
export async function openTarget(project: Project): Promise<Target> {
  const options = project.target.options.safeParse(project.scenario.config.target);
  if (!options.success) {
    const { scenario } = project;
    const at = { file: scenario.file, ...scenario.places.target };
    throw new DmasError(
      options.error.issues.map((issue) => ({
        code: 'DMAS_CFG_INVALID_VALUE',
        severity: 'error',
        message: `target.${issue.path.join('.')}: ${issue.message}`,
        at,
      })),
    );
  }
  const target = (await project.target.load()).create(project.scenario.config.target);
  const problems = [...(await target.check()), ...checkCommands(project), ...checkModelServers(project)];
  if (problems.some((problem) => problem.severity === 'error')) throw new DmasError(problems);
  return target;
}
