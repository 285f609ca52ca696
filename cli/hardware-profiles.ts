import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Problem } from '../compiler/contracts/index.ts';
import { checkHardwareProfile } from '../runtime/llm/engine/check-profile.ts';
import type { HardwareProfile } from '../runtime/llm/engine/hardware-profile.ts';
import type { Scenario, ScenarioConfig } from '../scenarios/schema.ts';

export type HardwareProfiles = { readonly [model: string]: HardwareProfile };

const isFile = (profile: unknown): profile is string => typeof profile === 'string' && profile.endsWith('.json');

/** Hardware profiles in files, as `dmas-opt llm fit` writes them, of the models that are bound to one. */
export async function readHardwareProfiles(
  scenario: Scenario,
): Promise<{ readonly profiles: HardwareProfiles; readonly problems: readonly Problem[] }> {
  const profiles: Record<string, HardwareProfile> = {};
  const problems: Problem[] = [];
  const problem = (message: string, path: string, fix: string) =>
    problems.push({ code: 'DMAS_ENGINE_FILE', severity: 'error', message, at: { file: scenario.file, ...scenario.places[path] }, fix });
  for (const [model, { options }] of Object.entries(scenario.config.models)) {
    if (!isFile(options.profile)) continue;
    try {
      profiles[model] = checkHardwareProfile(JSON.parse(await readFile(resolve(scenario.folder, options.profile), 'utf8')));
    } catch (error) {
      const fix = 'Write it with dmas-opt llm fit, or name a profile that comes with the package (see docs/engine.md).';
      problem(`${options.profile}: ${(error as Error).message}`, `models.${model}.options.profile`, fix);
    }
  }
  for (const [model, { profile = [] }] of Object.entries(scenario.config.search.serving)) {
    // A setting is its words, and a file's hardware is not in them: what a layout costs and what fits could not be told.
    if (profile.some(isFile)) {
      const fix = `Bind the file under models.${model}.options.profile, or name profiles that come with the package here.`;
      problem('a profile to search over must be a name, not a file', `search.serving.${model}.profile`, fix);
    }
  }
  return { profiles, problems };
}

/** The same configuration, in which models with a file say its GPU, so that whoever prices or compares settings need not read it. */
export function withProfileGpus(config: ScenarioConfig, profiles: HardwareProfiles): ScenarioConfig {
  const models = Object.entries(config.models).map(([name, model]) => {
    const profile = profiles[name];
    return [name, profile ? { ...model, options: { gpu: profile.gpu, ...model.options } } : model] as const;
  });
  return { ...config, models: Object.fromEntries(models) };
}
