import type { ScenarioConfig } from '../../scenarios/schema.ts';
import {
  allInOne,
  type Configuration,
  canonicalConfiguration,
  edgesOf,
  fromPartition,
  type LayoutDefaults,
  onePerComponent,
  type Problem,
  placeableOf,
  type ServingConfiguration,
  spokenOn,
  unitId,
  type Workflow,
} from '../contracts/index.ts';
import { didYouMean } from '../contracts/suggest.ts';

/** What every layout of a scenario starts from: its baseline protocol and resources, one replica per bound model. */
export function layoutDefaults(workflow: Workflow, scenario: ScenarioConfig): LayoutDefaults {
  const serving = workflow.models
    .filter((model) => scenario.models[model] !== undefined)
    .map((model): [string, ServingConfiguration] => [model, { replicas: 1, options: scenario.models[model]?.options ?? {} }]);
  return { protocol: scenario.baseline.protocol, resources: scenario.baseline.resources, serving: Object.fromEntries(serving) };
}

/** What runs today, as the scenario says it. Components it does not mention get a unit of their own, with a warning. */
export function baselineConfiguration(
  workflow: Workflow,
  scenario: ScenarioConfig,
): { readonly configuration: Configuration; readonly problems: readonly Problem[] } {
  const defaults = layoutDefaults(workflow, scenario);
  const problems: Problem[] = [];
  const laidOut = layOut(workflow, scenario, defaults, problems);
  const known = [...new Set(edgesOf(workflow).map((edge) => edge.channel))].sort();
  const channels = { ...laidOut.channels };
  for (const [channel, choice] of Object.entries(scenario.baseline.channels)) {
    const fixed = spokenOn(workflow, channel);
    if (fixed !== undefined && fixed.protocol !== choice.protocol) {
      const message = `the baseline speaks ${choice.protocol} on ${channel}, but one end runs elsewhere and speaks ${fixed.protocol}`;
      problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, fix: `remove baseline.channels.${channel}` });
    } else if (known.includes(channel) || workflow.channels.some(({ id, kind }) => id === channel && kind !== 'model'))
      channels[channel] = choice;
    else
      problems.push(unknown('DMAS_CFG_UNKNOWN_CHANNEL', `the baseline names channel "${channel}", which does not exist`, channel, known));
  }
  return { configuration: canonicalConfiguration({ ...laidOut, channels }), problems };
}

function layOut(workflow: Workflow, scenario: ScenarioConfig, defaults: LayoutDefaults, problems: Problem[]): Configuration {
  const { layout, resources } = scenario.baseline;
  if (layout === 'all-in-one') return allInOne(workflow, defaults);
  if (layout === 'one-per-agent') return onePerComponent(workflow, defaults);
  const components = placeableOf(workflow);
  const placed = new Set<string>();
  const units = layout.map((unit) => {
    const named = Array.isArray(unit) ? { components: unit, replicas: 1, resources: undefined } : unit;
    const mine = named.components.filter((name) => {
      if ([...workflow.agents, ...workflow.toolServers].some((component) => component.name === name && component.mobility === 'external')) {
        const message = `the baseline places "${name}", which is external and never deployed`;
        problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, fix: `remove ${name} from baseline.layout` });
        return false;
      }
      if (!components.includes(name)) {
        problems.push(
          unknown('DMAS_CFG_UNKNOWN_AGENT', `the baseline names "${name}", which the workflow does not have`, name, components),
        );
        return false;
      }
      if (placed.has(name)) {
        const message = `"${name}" stands in two units of the baseline`;
        problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, fix: 'name each component once' });
        return false;
      }
      placed.add(name);
      return true;
    });
    return { components: mine, replicas: named.replicas, resources: named.resources ?? resources };
  });
  const missing = components.filter((name) => !placed.has(name));
  for (const name of missing) {
    const message = `the baseline does not place "${name}"; it gets a unit of its own`;
    problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'warning', message });
  }
  const all = [
    ...units.filter((unit) => unit.components.length > 0),
    ...missing.map((name) => ({ components: [name], replicas: 1, resources })),
  ];
  const { channels, serving } = fromPartition(workflow, [], defaults);
  return canonicalConfiguration({
    schemaVersion: 1,
    units: all.map((unit) => ({ ...unit, id: unitId(unit.components) })),
    channels,
    serving,
  });
}

function unknown(code: Problem['code'], message: string, word: string, allowed: readonly string[]): Problem {
  const guess = didYouMean(word, allowed);
  return { code, severity: 'error', message, allowed, ...(guess === undefined ? {} : { didYouMean: guess }) };
}
