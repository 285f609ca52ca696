import {
  type ChannelConfiguration,
  type Configuration,
  canonicalConfiguration,
  type Edge,
  edgesOf,
  type Resources,
  type UnitConfiguration,
  unitId,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { replicaRange } from './partitions.ts';
import { servingPlans } from './serving-plans.ts';
import type { ServingPlan, Space } from './space.ts';

/** Resources a unit of these components may have: what any of them lists, else the default. */
export function resourceChoices(space: Space, components: readonly string[]): readonly Resources[] {
  const listed = components.flatMap((name) => space.resources[name] ?? []);
  const distinct = new Map(listed.map((choice) => [`${choice.vcpu}/${choice.memoryMb}`, choice]));
  return distinct.size > 0 ? [...distinct.values()] : [space.defaults.resources];
}

const edgesByWorkflow = new WeakMap<Workflow, readonly Edge[]>();

/** `edgesOf`, listed once per workflow: searches ask for every partition. */
export function workflowEdges(workflow: Workflow): readonly Edge[] {
  let edges = edgesByWorkflow.get(workflow);
  if (!edges) {
    edges = edgesOf(workflow);
    edgesByWorkflow.set(workflow, edges);
  }
  return edges;
}

/** Channels with at least one edge between two groups, or from or to a component that is in no group (external). */
export function crossingChannels(space: Space, groups: readonly (readonly string[])[]): readonly string[] {
  const groupOf = new Map(groups.flatMap((group, index) => group.map((name) => [name, index] as const)));
  const crossing = new Set<string>();
  for (const edge of workflowEdges(space.workflow)) {
    const [from, to] = [groupOf.get(edge.from), groupOf.get(edge.to)];
    if (from === undefined || to === undefined || from !== to) crossing.add(edge.channel);
  }
  return [...crossing].sort();
}

/** What may be chosen once the partition is fixed: one list per decision. */
export interface Choices {
  readonly replicas: readonly { readonly min: number; readonly max: number }[];
  readonly resources: readonly (readonly Resources[])[];
  /** Only channels that cross units; the others keep the default, so that equal layouts have one name. */
  readonly channels: readonly { readonly id: string; readonly options: readonly ChannelConfiguration[] }[];
  readonly serving: readonly ServingPlan[];
}

export function choicesOf(space: Space, groups: readonly (readonly string[])[]): Choices {
  return {
    replicas: groups.map((group) => replicaRange(space, group)),
    resources: groups.map((group) => resourceChoices(space, group)),
    channels: crossingChannels(space, groups).map((id) => ({ id, options: space.protocols[id] ?? [space.defaults.protocol] })),
    serving: servingPlans(space),
  };
}

/** One pick per decision of `Choices`, as indexes (replicas as counts). */
export interface Pick {
  readonly replicas: readonly number[];
  readonly resources: readonly number[];
  readonly channels: readonly number[];
  readonly serving: number;
}

/** The configuration that a partition and a pick stand for, in canonical form. */
export function configurationOf(space: Space, groups: readonly (readonly string[])[], choices: Choices, pick: Pick): Configuration {
  const units: UnitConfiguration[] = groups.map((group, index) => ({
    id: unitId(group),
    components: group,
    replicas: pick.replicas[index] ?? 1,
    resources: choices.resources[index]?.[pick.resources[index] ?? 0] ?? space.defaults.resources,
  }));
  const channels: Record<string, ChannelConfiguration> = {};
  // A channel inside a unit speaks nothing; with the baseline's protocol on it equal layouts get equal ids.
  for (const edge of workflowEdges(space.workflow)) channels[edge.channel] = space.defaults.protocol;
  choices.channels.forEach((channel, index) => {
    channels[channel.id] = channel.options[pick.channels[index] ?? 0] ?? defaultProtocol(space, channel.id);
  });
  const plan = choices.serving[pick.serving] ?? { serving: {} };
  const serving = Object.keys(plan.serving).length > 0 ? plan.serving : space.defaults.serving;
  const modelChoice = plan.modelChoice === undefined ? {} : { modelChoice: plan.modelChoice };
  return canonicalConfiguration({ schemaVersion: 1, units, channels, serving, ...modelChoice });
}

export const defaultProtocol = (space: Space, channel: string): ChannelConfiguration =>
  space.protocols[channel]?.[0] ?? space.defaults.protocol;

/** The pick with the fewest replicas and the first of every list. */
export const firstPick = (choices: Choices): Pick => ({
  replicas: choices.replicas.map((range) => range.min),
  resources: choices.resources.map(() => 0),
  channels: choices.channels.map(() => 0),
  serving: 0,
});

/** All replica vectors of a partition, fewest first in each place. */
export function* replicaVectors(choices: Choices): Generator<readonly number[]> {
  const vector = choices.replicas.map((range) => range.min);
  while (true) {
    yield [...vector];
    let place = vector.length - 1;
    while (place >= 0 && vector[place] === choices.replicas[place]?.max) {
      vector[place] = choices.replicas[place]?.min ?? 1;
      place--;
    }
    if (place < 0) return;
    vector[place] = (vector[place] ?? 0) + 1;
  }
}

/** All picks with the given replicas. */
export function* picksWith(choices: Choices, replicas: readonly number[]): Generator<Pick> {
  const sizes = [
    ...choices.resources.map((list) => list.length),
    ...choices.channels.map((channel) => channel.options.length),
    choices.serving.length,
  ];
  const [a, b] = [choices.resources.length, choices.resources.length + choices.channels.length];
  const index = sizes.map(() => 0);
  while (true) {
    yield { replicas, resources: index.slice(0, a), channels: index.slice(a, b), serving: index[b] ?? 0 };
    let place = index.length - 1;
    while (place >= 0 && (index[place] ?? 0) + 1 >= (sizes[place] ?? 1)) {
      index[place] = 0;
      place--;
    }
    if (place < 0) return;
    index[place] = (index[place] ?? 0) + 1;
  }
}

/** Number of configurations of one partition. */
export function choiceCount(choices: Choices): number {
  let count = 1;
  for (const range of choices.replicas) count *= Math.max(0, range.max - range.min + 1);
  for (const list of choices.resources) count *= list.length;
  for (const channel of choices.channels) count *= channel.options.length;
  return count * choices.serving.length;
}
