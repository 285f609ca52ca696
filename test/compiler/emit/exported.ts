import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { planRequest } from '../../../cli/planning.ts';
import { openProject, type Project } from '../../../cli/project.ts';
import { bundlePlan } from '../../../compiler/bundle.ts';
import type { Bundle, Configuration, Plan } from '../../../compiler/contracts/index.ts';
import type { EmittedFile, Emitter, ExportFacts } from '../../../compiler/emit/emitter.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';

const folder = join(import.meta.dirname, '../../../scenarios');

/** Names of the example scenarios. */
export async function exampleNames(): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => existsSync(join(folder, name, 'scenario.yaml')));
}

export const openExample = (name: string): Promise<Project> => openProject(join(folder, name, 'scenario.yaml'));

export interface ExportOptions {
  readonly configuration?: Configuration;
  readonly options?: { readonly [option: string]: unknown };
  readonly facts?: Partial<ExportFacts>;
  /** Really bundles; else every bundle is a line of text, whose digest is that of its id. */
  readonly bundled?: boolean;
}

export interface Exported {
  readonly files: ReadonlyMap<string, EmittedFile>;
  readonly plan: Plan;
  readonly bundles: readonly Bundle[];
}

/** A layout of a project in one format, as `dmas-opt export` makes it. */
export async function exported(project: Project, emitter: Emitter, given: ExportOptions = {}): Promise<Exported> {
  const { configuration = project.baseline, options = {} } = given;
  // Files run in containers: a layout may not use what only one machine has.
  const request = planRequest(project, configuration, true);
  const targetTraits = { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'image' } as const;
  const { plan: layoutPlan, problems } = planDeployment({ ...request, target: 'kubernetes', targetTraits });
  if (layoutPlan === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
  const plan = emitter.prepare?.(layoutPlan, options) ?? layoutPlan;
  const bundles = given.bundled ? await bundlePlan({ plan, workflow: project.workflow }) : standInBundles(plan);
  const facts: ExportFacts = {
    origin: `scenario ${project.scenario.config.name ?? plan.application}, baseline`,
    capacityPerReplica: {},
    startMs: {},
    claims: [],
    scenarioFile: 'scenario.yaml',
    ...given.facts,
  };
  const files = emitter.emit({ plan, layoutPlan, bundles, access: accessOf(plan), workflow: project.workflow, facts }, options);
  return { files: new Map(files.map((file) => [file.path, file])), plan, bundles };
}

const standInBundles = (plan: Plan): Bundle[] =>
  [...plan.units, ...plan.services]
    .filter(({ program }) => program === undefined)
    .map(({ id }) => ({
      id,
      code: `// ${id}\n`,
      entry: '',
      sha256: Buffer.from(id).toString('hex').padEnd(64, '0').slice(0, 64),
      sizeBytes: 4,
      modules: [],
    }));

export const contentOf = ({ files }: Exported, path: string): string => {
  const file = files.get(path);
  if (file === undefined) throw new Error(`there is no ${path} among ${[...files.keys()].join(', ')}`);
  return file.content;
};
