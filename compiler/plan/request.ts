import type { HardwareProfile } from '../../runtime/llm/engine/hardware-profile.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';
import type {
  Configuration,
  Descriptor,
  Json,
  Literal,
  LlmTraits,
  ProtocolTraits,
  StateTraits,
  TargetTraits,
  Workflow,
} from '../contracts/index.ts';

export type Options = { readonly [option: string]: Literal };

/** What the planner must know of the plug-ins, by their ids. Plain data, so that planning stays pure. */
export interface PlanningTraits {
  readonly protocolTraits: { readonly [protocol: string]: ProtocolTraits };
  /** Default of every option; without it two spellings of one option set get two listeners. */
  readonly protocolDefaults?: { readonly [protocol: string]: Options };
  readonly llmTraits: { readonly [backend: string]: LlmTraits };
  readonly stateTraits: { readonly [store: string]: StateTraits };
}

export interface PlanRequest extends PlanningTraits {
  readonly workflow: Workflow;
  readonly configuration: Configuration;
  /** Id of the target. */
  readonly target: string;
  readonly targetTraits: TargetTraits;
  readonly scenario: ScenarioConfig;
  /** Name of the application. */
  readonly name: string;
  /** Content of the reply scripts named by `models.<name>.replies`, by model. The planner reads no files. */
  readonly replies?: { readonly [model: string]: Json };
  /** Content of the hardware profiles that `models.<name>.options.profile` names as files, by model. */
  readonly profiles?: { readonly [model: string]: HardwareProfile };
  /** What is replayed: names the content, which travels with the bundles. */
  readonly recording?: { readonly sha256: string; readonly entries: number };
}

type Plugin<Traits> = Pick<Descriptor<'protocol', Traits, unknown>, 'id' | 'traits' | 'options'>;

/** The planner's view of a registry. */
export function planningTraits(registry: {
  readonly protocols: readonly Plugin<ProtocolTraits>[];
  readonly llmBackends: readonly Plugin<LlmTraits>[];
  readonly stateStores: readonly Plugin<StateTraits>[];
}): PlanningTraits {
  const traits = <T>(plugins: readonly Plugin<T>[]) => Object.fromEntries(plugins.map((plugin) => [plugin.id, plugin.traits]));
  return {
    protocolTraits: traits(registry.protocols),
    protocolDefaults: Object.fromEntries(registry.protocols.map((plugin) => [plugin.id, plugin.options.parse({}) as Options])),
    llmTraits: traits(registry.llmBackends),
    stateTraits: traits(registry.stateStores),
  };
}
