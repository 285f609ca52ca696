import type { ServingConfiguration } from '../compiler/contracts/index.ts';
import type { PoolSetup } from '../optimizer/predict/engine-pool.ts';
import { poolSetup } from '../optimizer/predict/engine-setup.ts';
import type { FitsInMemory } from '../optimizer/space/serving-shapes.ts';
import { engineOf } from '../runtime/llm/engine/options.ts';
import type { ScenarioConfig } from '../scenarios/schema.ts';
import type { HardwareProfiles } from './hardware-profiles.ts';

interface Models {
  readonly config: Pick<ScenarioConfig, 'models'>;
  readonly profiles: HardwareProfiles;
}

/** The engines behind a model we serve, under given settings; null for models of which no engine is known. */
export function engineSetup(models: Models, model: string, { options, replicas }: ServingConfiguration): PoolSetup | null {
  const all = engineOptions(models, model, options);
  return all === null ? null : poolSetup(all, replicas);
}

/** Whether a model's engine fits into the memory of its GPUs; true where no engine is known. */
export function engineFits(models: Models, model: string, options: ServingConfiguration['options']): ReturnType<FitsInMemory> {
  const all = engineOptions(models, model, options);
  return all === null || engineOf(all).fits;
}

/**
 * Options as the servers of the model get them. A replay has an engine only where a hardware profile is bound, else its
 * times are those of the recording; a real server has one where a profile says what it would take.
 */
function engineOptions({ config, profiles }: Models, model: string, given: ServingConfiguration['options']) {
  const bound = config.models[model];
  if (bound === undefined) return null;
  const options = { ...bound.options, ...given };
  const profiled = options.profile !== undefined && options.profile !== 'recorded';
  if (bound.backend !== 'simulated' && !profiled) return null;
  const inFile = profiles[model];
  const profile = inFile !== undefined && options.profile === bound.options.profile ? { profile: inFile } : {};
  return { ...options, ...profile, model: bound.model ?? model };
}
