import {
  type ChannelConfiguration,
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  type Resources,
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

function describeServing(before: Configuration, after: Configuration): string[] {
  const shown = (configuration: Configuration, model: string) => {
    const serving = configuration.serving[model];
    return serving === undefined ? 'default' : describeChannel({ protocol: `${serving.replicas}x`, options: serving.options });
  };
  return [...new Set([...Object.keys(before.serving), ...Object.keys(after.serving)])].sort().flatMap((model) => {
    const [was, is] = [shown(before, model), shown(after, model)];
    return was === is ? [] : [`model ${model}: ${was} -> ${is}`];
  });
}
