import { fail } from '../compiler/contracts/index.ts';
import { type Scenario, scenarioSchema } from '../scenarios/schema.ts';
import { type RunFolder, readJson } from './run-folder.ts';

/**
 * The scenario as a run wrote it down, with today's defaults for words that its version did not have. What is stored is
 * resolved already; resolving it once more changes nothing else.
 */
export async function readStoredScenario(folder: RunFolder): Promise<Scenario> {
  const scenario = await readJson<Scenario>(folder.file('scenario.json'));
  if (scenario.schemaVersion !== 1)
    fail('DMAS_RUN_CORRUPT', `${folder.id} was written by a newer version of dmas-opt`, { fix: 'use the version that wrote it' });
  const { data, error } = scenarioSchema.safeParse(scenario.config);
  if (error !== undefined) {
    const [issue] = error.issues;
    fail('DMAS_RUN_CORRUPT', `scenario.json of ${folder.id} is no scenario: ${issue?.path.join('.')}: ${issue?.message}`, {
      fix: 'use the version that wrote it, or run the scenario again',
    });
  }
  return { ...scenario, config: data };
}
