import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { planOf } from '../../../../cli/laboratory.ts';
import { layoutOf } from '../../../../cli/layouts.ts';
import { openProject, type Project } from '../../../../cli/project.ts';
import { type Bundle, type Configuration, canonicalConfiguration, type Plan } from '../../../../compiler/contracts/index.ts';
import type { KubernetesInput } from '../../../../compiler/emit/kubernetes/input.ts';
import { accessOf } from '../../../../compiler/plan/access.ts';
import { plannedMembers } from '../../../../compiler/plan/members.ts';

const scenarios = join(import.meta.dirname, '../../../../scenarios');

/** Names of all example scenarios. */
export const exampleNames: readonly string[] = readdirSync(scenarios).filter((name) => existsSync(join(scenarios, name, 'scenario.yaml')));

export const openExample = (name: string): Promise<Project> => openProject(join(scenarios, name, 'scenario.yaml'), { target: 'docker' });

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
    try {
      return [{ name, plan: planOf(project, configuration) }];
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
  images: {
    '*': 'registry.example/app:1',
    ...Object.fromEntries(
      plannedMembers(plan)
        .filter(({ program }) => program !== null)
        .map(({ id }) => [id, `registry.example/theirs:1`]),
    ),
  },
  otlpEndpoints: ['http://collector.observability:4318'],
  ...more,
});
