import {
  type ChannelConfiguration,
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  type Resources,
  type ServingConfiguration,
  type UnitConfiguration,
} from '../contracts/index.ts';

/** `http-json`, `http-json(transport=unix)`. */
export function describeChannel({ protocol, options }: Pick<ChannelConfiguration, 'protocol' | 'options'>): string {
  const given = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  return given.length === 0 ? protocol : `${protocol}(${given.map(([name, value]) => `${name}=${value}`).join(', ')})`;
}

export const describeResources = ({ vcpu, memoryMb }: Resources): string => `${vcpu} vCPU, ${memoryMb} MB`;

/** A layout in one line: `[a b] x2 | [c]`. */
export function describeLayout(configuration: Configuration): string {
  return canonicalConfiguration(configuration)
    .units.map((unit) => `[${unit.components.join(' ')}]${unit.replicas > 1 ? ` x${unit.replicas}` : ''}`)
    .join(' | ');
}

/** What one configuration changes against another, one line per change; empty when they are the same. */
export function describeChanges(baseline: Configuration, configuration: Configuration): readonly string[] {
  const [before, after] = [canonicalConfiguration(baseline), canonicalConfiguration(configuration)];
  return [...describeUnits(before.units, after.units), ...describeChannels(before, after), ...describeServing(before, after)];
}

type Unit = Pick<UnitConfiguration, 'id' | 'components' | 'replicas' | 'resources'>;

/** Merged and split units, then replicas and resources of those that stayed. */
export function describeUnits(before: readonly Unit[], after: readonly Unit[]): readonly string[] {
  const lines: string[] = [];
  const same = (a: Unit, b: Unit) => canonicalJson(a.components) === canonicalJson(b.components);
  for (const unit of after) {
    const kept = before.find((candidate) => same(candidate, unit));
    if (kept !== undefined) {
      if (kept.replicas !== unit.replicas) lines.push(`${unit.id}: ${kept.replicas} -> ${unit.replicas} replicas`);
      const [was, is] = [describeResources(kept.resources), describeResources(unit.resources)];
      if (was !== is) lines.push(`${unit.id}: ${was} -> ${is}`);
      continue;
    }
    const sources = before.filter((candidate) => candidate.components.some((name) => unit.components.includes(name)));
    const whole = sources.every((source) => source.components.every((name) => unit.components.includes(name)));
    const names = unit.components.join(' + ');
    const from = sources.map((source) => source.id).join(', ');
    const replicas = unit.replicas > 1 ? ` (${unit.replicas} replicas)` : '';
    if (sources.length > 1) lines.push(`${whole ? 'merged' : 'regrouped'}: ${names}${whole ? '' : ` from ${from}`}${replicas}`);
    else lines.push(sources.length === 1 ? `split: ${names} out of ${from}${replicas}` : `new: ${names}${replicas}`);
  }
  for (const unit of before) {
    const known = after.some((candidate) => candidate.components.some((name) => unit.components.includes(name)));
    if (!known) lines.push(`gone: ${unit.components.join(' + ')}`);
  }
  return lines;
}

function describeChannels(before: Configuration, after: Configuration): string[] {
  const unitOf = (configuration: Configuration, name: string) => configuration.units.find((unit) => unit.components.includes(name))?.id;
  return [...new Set([...Object.keys(before.channels), ...Object.keys(after.channels)])].sort().flatMap((channel) => {
    const [from, to] = channel.split('->');
    const inside = (configuration: Configuration) =>
      from !== undefined &&
      to !== undefined &&
      unitOf(configuration, from) !== undefined &&
      unitOf(configuration, from) === unitOf(configuration, to);
    const spoken = (configuration: Configuration) => {
      const choice = configuration.channels[channel];
      return inside(configuration) ? 'inproc' : choice === undefined ? 'nothing' : describeChannel(choice);
    };
    const [was, is] = [spoken(before), spoken(after)];
    return was === is ? [] : [`${channel}: ${was} -> ${is}`];
  });
}

/** Pools that come, go or are set otherwise, and agents another model answers. */
function describeServing(before: Configuration, after: Configuration): string[] {
  const models = [
    ...new Set([before, after].flatMap(({ serving }) => Object.entries(serving).map(([id, pool]) => pool.model ?? id))),
  ].sort();
  const lines = models.flatMap((model) => {
    const [was, is] = [poolsOfModel(before, model), poolsOfModel(after, model)];
    return canonicalJson(was) === canonicalJson(is)
      ? []
      : [`model ${model}: ${was.join(' + ') || 'not served'} -> ${is.join(' + ') || 'not served'}`];
  });
  const agents = [...new Set([before, after].flatMap(({ modelChoice }) => Object.keys(modelChoice ?? {})))].sort();
  return lines.concat(
    agents.flatMap((agent) => {
      const asked = [...new Set([before, after].flatMap(({ modelChoice }) => Object.keys(modelChoice?.[agent] ?? {})))].sort();
      return asked.flatMap((model) => {
        const used = ({ modelChoice }: Configuration) => modelChoice?.[agent]?.[model] ?? model;
        return used(before) === used(after) ? [] : [`agent ${agent}: model ${used(before)} -> ${used(after)}`];
      });
    }),
  );
}

function poolsOfModel({ serving }: Configuration, model: string): string[] {
  return Object.entries(serving)
    .filter(([id, pool]) => (pool.model ?? id) === model)
    .map(([, pool]) => describePool(pool));
}

/** `2x(gpu=h200)`, `1x(gpu=l4) for critic and planner`. */
export function describePool({ replicas, options, agents }: ServingConfiguration): string {
  const setting = describeChannel({ protocol: `${replicas}x`, options });
  return agents === undefined ? setting : `${setting} for ${agents.join(' and ')}`;
}
