import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { planOf } from '../../../../cli/laboratory.ts';
import { layoutOf } from '../../../../cli/layouts.ts';
import { openProject, type Project } from '../../../../cli/project.ts';
import { type Bundle, type Configuration, canonicalConfiguration, type Plan } from '../../../../compiler/contracts/index.ts';
import type { EmitInput, ExportFacts } from '../../../../compiler/emit/emitter.ts';
import type { KubernetesInput, KubernetesObject } from '../../../../compiler/emit/kubernetes/input.ts';
import { accessOf } from '../../../../compiler/plan/access.ts';
import { plannedMembers } from '../../../../compiler/plan/members.ts';
import { kubernetesVersions, validateObject, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';

const scenarios = join(import.meta.dirname, '../../../../scenarios');

/** Names of all example scenarios. */
export const exampleNames: readonly string[] = readdirSync(scenarios).filter((name) => existsSync(join(scenarios, name, 'scenario.yaml')));

/** An example as its files for containers are planned; programs that it gives by a command get an image. */
export async function openExample(name: string): Promise<Project> {
  const project = await openProject(join(scenarios, name, 'scenario.yaml'), { target: 'docker' });
  return { ...project, scenario: { ...project.scenario, config: withImages(project.scenario.config) }, live: withImages(project.live) };
}

const withImages = (config: Project['live']): Project['live'] => ({
  ...config,
  agents: Object.fromEntries(
    Object.entries(config.agents).map(([agent, { command, ...given }]) => [
      agent,
      command === undefined ? given : { ...given, image: `registry.example/${agent}:1` },
    ]),
  ),
});

export interface Layout {
  readonly name: string;
  readonly plan: Plan;
}

/** What runs today and every agent alone, once and with two replicas of each; those that an example's constraints allow. */
export async function layoutsOf(project: Project): Promise<readonly Layout[]> {
  const named: [string, Configuration][] = [['baseline', project.baseline]];
  const alone = await layoutOf(project, 'one-per-agent').catch(() => undefined);
  if (alone !== undefined) named.push(['one-per-agent', alone], ['doubled', doubled(alone)]);
  return named.flatMap(([name, configuration]) => {
    // A layout that an example's own rules exclude is none to be written.
    try {
      return [{ name, plan: planOf(project, configuration, true) }];
    } catch {
      return [];
    }
  });
}

const doubled = (configuration: Configuration): Configuration =>
  canonicalConfiguration({ ...configuration, units: configuration.units.map((unit) => ({ ...unit, replicas: 2 })) });

/** A bundle that says nothing, for what looks at no code. */
export const emptyBundles = (plan: Plan): readonly Bundle[] =>
  plannedMembers(plan)
    .filter(({ program }) => program === null)
    .map(({ id }, index) => ({ id, code: '', entry: '', sha256: String(index).repeat(64).slice(0, 64), sizeBytes: 0, modules: [] }));

export const inputOf = (plan: Plan, more: Partial<KubernetesInput> = {}): KubernetesInput => ({
  plan,
  bundles: emptyBundles(plan),
  access: accessOf(plan),
  images: { '*': 'registry.example/app:1' },
  otlpEndpoints: ['http://collector.observability:4318'],
  ...more,
});

/** What a study might have found: every member was measured, and CPU is what runs out. */
export const factsOf = (plan: Plan, cpuSecondsPerRequest = 0.02): ExportFacts => ({
  origin: 'run example, layout 3 (confirmed)',
  capacityPerReplica: Object.fromEntries(
    plannedMembers(plan).map(({ id }) => [id, { requestsPerSecond: 44, concurrency: 6.2, cpuSecondsPerRequest, provenance: 'measured' }]),
  ),
  startMs: Object.fromEntries(plannedMembers(plan).map(({ id }) => [id, 850])),
  claims: ['p95 latency of interactive requests: 120 ms (110 to 131)'],
  scenarioFile: 'scenario.yaml',
});

export const emitInputOf = (project: Project, plan: Plan, facts: ExportFacts = factsOf(plan)): EmitInput => ({
  plan,
  bundles: emptyBundles(plan),
  access: accessOf(plan),
  workflow: project.workflow,
  facts,
});

/** What all versions at hand say against some objects. */
export function complaints(objects: readonly KubernetesObject[]): string[] {
  return kubernetesVersions
    .filter(versionAtHand)
    .flatMap((version) =>
      objects.flatMap((object) =>
        validateObject(version, object).map((problem) => `${version} ${object.kind}/${object.metadata.name}: ${problem}`),
      ),
    );
}
