import { createHash } from 'node:crypto';
import { canonicalJson } from './json.ts';
import { edgesOf, type Literal, placeableOf, spokenOn, type Workflow } from './workflow.ts';

/** One point of the search space. Canonical: units and their components sorted, channel keys sorted. */
export interface Configuration {
  readonly schemaVersion: 1;
  readonly units: readonly UnitConfiguration[];
  /** Per agent, tool or topic channel: what is spoken where it crosses units. Co-located ends always use `inproc`. */
  readonly channels: { readonly [channel: string]: ChannelConfiguration };
  /** Pools of model servers, for models we deploy, by id: the logical model for the pool everybody shares (see `poolId`). */
  readonly serving: { readonly [pool: string]: ServingConfiguration };
  /** Per agent, which model answers where its code asks for another: logical model asked for → logical model used. */
  readonly modelChoice?: { readonly [agent: string]: { readonly [asked: string]: string } };
}

export interface UnitConfiguration {
  readonly id: string;
  readonly components: readonly string[];
  readonly replicas: number;
  readonly resources: Resources;
}

/** Declared (allocated) resources of one replica; what is paid for. */
export interface Resources {
  readonly vcpu: number;
  readonly memoryMb: number;
}

export interface ChannelConfiguration {
  readonly protocol: string;
  readonly options: { readonly [option: string]: Literal };
}

/** One pool: replicas of one model server behind a router. */
export interface ServingConfiguration {
  /** The logical model it serves; absent: the pool's id. */
  readonly model?: string;
  /** The agents it is for, sorted; absent: everybody who has no pool of that model for themselves. */
  readonly agents?: readonly string[];
  readonly replicas: number;
  /** Over the scenario's: GPU, parallelism, batch limits, router, as the backend names them. */
  readonly options: { readonly [option: string]: Literal };
}

/** The default of every unit until the scenario says otherwise: one event loop uses at most about one core. */
export const defaultResources: Resources = { vcpu: 1, memoryMb: 256 };

/** A stable, readable name for a set of components; long ones are cut and made unique by a hash. */
export function unitId(components: readonly string[]): string {
  const joined = [...components].sort().join('+');
  if (joined.length <= 40) return joined;
  return `${joined.slice(0, 31)}~${createHash('sha256').update(joined).digest('hex').slice(0, 8)}`;
}

/** Id of a model's pool: the model itself, or `<model>@<agents>` where it is for some agents alone. */
export const poolId = (model: string, agents?: readonly string[]) => (agents === undefined ? model : `${model}@${unitId(agents)}`);

/** The pool whose servers answer an agent that asks for a model, the choice of another model included; undefined: nobody serves it here. */
export function poolOf(configuration: Configuration, agent: string, asked: string): string | undefined {
  const model = configuration.modelChoice?.[agent]?.[asked] ?? asked;
  const pools = Object.entries(configuration.serving).filter(([id, pool]) => (pool.model ?? id) === model);
  return (pools.find(([, pool]) => pool.agents?.includes(agent)) ?? pools.find(([, pool]) => pool.agents === undefined))?.[0];
}

/** The same configuration in its one canonical form. */
export function canonicalConfiguration(configuration: Configuration): Configuration {
  const units = configuration.units
    .map((unit) => ({ ...unit, id: unitId(unit.components), components: [...unit.components].sort() }))
    .sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const sortKeys = <T>(record: { readonly [key: string]: T }) =>
    Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  return {
    schemaVersion: 1,
    units,
    channels: sortKeys(configuration.channels),
    serving: sortKeys(configuration.serving),
    ...canonicalChoice(configuration.modelChoice),
  };
}

/** Without agents that get what they ask for, so that saying so makes no other configuration. */
function canonicalChoice(choice: Configuration['modelChoice']): Pick<Configuration, 'modelChoice'> {
  const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : a > b ? 1 : 0);
  const changed = Object.entries(choice ?? {}).flatMap(([agent, models]) => {
    const other = Object.entries(models).filter(([asked, used]) => asked !== used);
    return other.length === 0 ? [] : [[agent, Object.fromEntries(other.sort(byName))] as const];
  });
  return changed.length === 0 ? {} : { modelChoice: Object.fromEntries(changed.sort(byName)) };
}

/** Ten hex digits of the SHA-256 of the canonical form; equal configurations have equal ids. */
export function configurationId(configuration: Configuration): string {
  return createHash('sha256')
    .update(canonicalJson(canonicalConfiguration(configuration)))
    .digest('hex')
    .slice(0, 10);
}

export interface LayoutDefaults {
  readonly protocol: ChannelConfiguration;
  readonly resources: Resources;
  readonly serving: Configuration['serving'];
}

/**
 * A configuration from a partition of the components, with one replica each and one protocol on every channel but those
 * where a component that runs elsewhere speaks its own.
 */
export function fromPartition(workflow: Workflow, groups: readonly (readonly string[])[], defaults: LayoutDefaults): Configuration {
  const channels = Object.fromEntries(
    [...new Set(edgesOf(workflow).map((edge) => edge.channel))].map((id) => [id, spokenOn(workflow, id) ?? defaults.protocol]),
  );
  const units = groups.map((components) => ({ id: unitId(components), components, replicas: 1, resources: defaults.resources }));
  return canonicalConfiguration({ schemaVersion: 1, units, channels, serving: defaults.serving });
}

/** Everything that may share a unit in one; what keeps a unit of its own stays in it. */
export function allInOne(workflow: Workflow, defaults: LayoutDefaults): Configuration {
  const kept = [...workflow.agents, ...workflow.toolServers].filter(({ mobility }) => mobility === 'replicasOnly').map(({ name }) => name);
  const together = placeableOf(workflow).filter((name) => !kept.includes(name));
  return fromPartition(workflow, [...(together.length > 0 ? [together] : []), ...kept.map((name) => [name])], defaults);
}

/** Each component in a unit of its own. */
export const onePerComponent = (workflow: Workflow, defaults: LayoutDefaults) =>
  fromPartition(
    workflow,
    placeableOf(workflow).map((name) => [name]),
    defaults,
  );

/** The unit that holds a component. */
export function unitOf(configuration: Configuration, component: string): UnitConfiguration {
  const unit = configuration.units.find((candidate) => candidate.components.includes(component));
  if (!unit) throw new RangeError(`component ${component} is in no unit`);
  return unit;
}
