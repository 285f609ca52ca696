import { type Configuration, canonicalJson, edgesOf, type Problem, type UnitConfiguration } from '../../compiler/contracts/index.ts';
import { crossingChannels, resourceChoices } from './choices.ts';
import { replicaRange } from './partitions.ts';
import { servingProblems } from './serving-plans.ts';
import type { Space } from './space.ts';

/** Everything in which a configuration leaves the space, in words; empty when it is one of its points. */
export function satisfies(space: Space, configuration: Configuration): readonly Problem[] {
  const problems: Problem[] = [];
  const add = (message: string, fix?: string) =>
    problems.push({ code: 'DMAS_PLAN_UNPLACEABLE', severity: 'error', message, ...(fix ? { fix } : {}) });
  const unitOf = new Map<string, UnitConfiguration>();
  for (const unit of configuration.units) {
    for (const name of unit.components) {
      if (!space.components.includes(name)) add(`unit ${unit.id} holds ${name}, which is not a component that can be placed`);
      else if (unitOf.has(name)) add(`${name} is in two units`);
      unitOf.set(name, unit);
    }
  }
  for (const name of space.components) if (!unitOf.has(name)) add(`${name} is in no unit`);
  if (configuration.units.length > space.maxUnits) add(`${configuration.units.length} units, at most ${space.maxUnits} are allowed`);
  for (const set of space.together) {
    const units = new Set(set.map((name) => unitOf.get(name)));
    if (units.size > 1) add(`${set.join(', ')} must share a unit`);
  }
  for (const set of space.apart) {
    for (const unit of configuration.units) {
      const inside = set.filter((name) => unit.components.includes(name));
      const byRights = space.apartByRights?.find(({ components }) => components === set);
      if (inside.length > 1) add(`${inside.join(' and ')} may not share a unit${byRights === undefined ? '' : `: ${byRights.reason}`}`);
    }
  }
  for (const component of [...space.workflow.agents, ...space.workflow.toolServers]) {
    const unit = unitOf.get(component.name);
    if (component.mobility === 'replicasOnly' && unit && unit.components.length > 1)
      add(`${component.name} keeps a unit of its own (replicasOnly)`);
  }
  for (const unit of configuration.units) {
    const range = replicaRange(space, unit.components);
    if (unit.replicas < range.min || unit.replicas > range.max)
      add(`unit ${unit.id} has ${unit.replicas} replicas, allowed are ${range.min} to ${range.max}`);
    const allowed = resourceChoices(space, unit.components);
    if (!allowed.some((choice) => choice.vcpu === unit.resources.vcpu && choice.memoryMb === unit.resources.memoryMb))
      add(`unit ${unit.id} has resources that are not in the search: ${unit.resources.vcpu} vCPU, ${unit.resources.memoryMb} MB`);
  }
  const groups = configuration.units.map((unit) => unit.components);
  const crossing = new Set(crossingChannels(space, groups));
  for (const id of new Set(edgesOf(space.workflow).map((edge) => edge.channel))) {
    const chosen = configuration.channels[id];
    const allowed = space.protocols[id] ?? [space.defaults.protocol];
    if (!crossing.has(id)) continue;
    if (!chosen) add(`channel ${id} crosses units and has no protocol`);
    else if (!allowed.some((choice) => canonicalJson(choice) === canonicalJson(chosen)))
      add(`channel ${id} speaks ${chosen.protocol}, allowed: ${allowed.map((choice) => choice.protocol).join(', ')}`);
  }
  problems.push(...servingProblems(space, configuration));
  return problems;
}
