import { readFile } from 'node:fs/promises';
import { allInOne, type Configuration, canonicalConfiguration, DmasError, fail, onePerComponent } from '../compiler/contracts/index.ts';
import { satisfies } from '../optimizer/space/satisfies.ts';
import type { Project } from './project.ts';

const names = ['baseline', 'all-in-one', 'one-per-agent'] as const;

/** A layout by name, or from a JSON file that holds a configuration (e.g. `best/configuration.json` of a run). */
export async function layoutOf(project: Project, wanted: string): Promise<Configuration> {
  if (wanted === 'baseline') return project.baseline;
  if (wanted === 'all-in-one') return allInOne(project.workflow, project.defaults);
  if (wanted === 'one-per-agent') return onePerComponent(project.workflow, project.defaults);
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(wanted, 'utf8'));
  } catch (error) {
    fail('DMAS_FILE_UNREADABLE', `layout ${wanted}: ${(error as Error).message}`, { allowed: [...names, 'a JSON file'] });
  }
  const candidate = parsed as Partial<Configuration> | null;
  if (candidate?.schemaVersion !== 1 || !Array.isArray(candidate.units) || typeof candidate.channels !== 'object') {
    fail('DMAS_FILE_UNREADABLE', `${wanted} holds no configuration`, {
      fix: 'a configuration has schemaVersion 1, units, channels and serving; see best/configuration.json of any run',
    });
  }
  const configuration = canonicalConfiguration({ ...candidate, serving: candidate.serving ?? project.defaults.serving } as Configuration);
  return configuration;
}

/** The two plain layouts every gain is also held against; null where the scenario's constraints forbid them. */
export function referencesOf(project: Project): { readonly allInOne: Configuration | null; readonly onePerAgent: Configuration | null } {
  const allowed = (configuration: Configuration) => (violations(project, configuration).length === 0 ? configuration : null);
  return {
    allInOne: allowed(allInOne(project.workflow, project.defaults)),
    onePerAgent: allowed(onePerComponent(project.workflow, project.defaults)),
  };
}

/** Constraints of placement a configuration breaks. Protocols and resources are not part of what makes a reference. */
function violations(project: Project, configuration: Configuration) {
  return satisfies(project.space, configuration).filter((problem) => problem.severity === 'error');
}

/** Throws when a layout given by hand breaks a constraint of the scenario. */
export function insistOn(project: Project, configuration: Configuration): void {
  const problems = violations(project, configuration);
  if (problems.length > 0) throw new DmasError(problems);
}
