import { fail } from '../compiler/contracts/index.ts';
import type { Scenario } from '../scenarios/schema.ts';
import { type RunFolder, readJson } from './run-folder.ts';

/** The scenario as a run wrote it down. */
export async function readStoredScenario(folder: RunFolder): Promise<Scenario> {
  const scenario = await readJson<Scenario>(folder.file('scenario.json'));
  if (scenario.schemaVersion !== 1)
    fail('DMAS_RUN_CORRUPT', `${folder.id} was written by a newer version of dmas-opt`, { fix: 'use the version that wrote it' });
  return scenario;
}
