import { keptApart, rightsOf } from '../../scenarios/rights.ts';
import { componentsOf, type Problem, placeableOf } from '../contracts/index.ts';
import type { PlanRequest } from './request.ts';

export const unplaceable = (message: string, fix?: string): Problem => ({
  code: 'DMAS_PLAN_UNPLACEABLE',
  severity: 'error',
  message,
  ...(fix === undefined ? {} : { fix }),
});

/** Whether every component stands in exactly one unit, and in one where it may stand. */
export function checkPlacement({ workflow, configuration, scenario }: PlanRequest): readonly Problem[] {
  const problems: Problem[] = [];
  const components = componentsOf(workflow);
  const placed = configuration.units.flatMap((unit) => unit.components);
  for (const name of placeableOf(workflow)) {
    const times = placed.filter((candidate) => candidate === name).length;
    if (times === 0) problems.push(unplaceable(`"${name}" is in no unit`));
    if (times > 1) problems.push(unplaceable(`"${name}" is in ${times} units`));
  }
  for (const name of new Set(placed)) {
    if (!components.includes(name)) problems.push(unplaceable(`the workflow has no component "${name}"`));
  }
  const { apart, together } = scenario.search;
  const forbidden = keptApart(workflow, rightsOf(scenario));
  for (const unit of configuration.units) {
    if (!Number.isInteger(unit.replicas) || unit.replicas < 1) problems.push(unplaceable(`unit ${unit.id} has ${unit.replicas} replicas`));
    for (const set of apart) {
      const shared = set.filter((name) => unit.components.includes(name));
      if (shared.length > 1) problems.push(unplaceable(`unit ${unit.id} holds ${shared.join(' and ')}, which must be apart`));
    }
    for (const { components, reason } of forbidden) {
      if (components.every((name) => unit.components.includes(name)))
        problems.push(unplaceable(`unit ${unit.id} holds ${components.join(' and ')}, but ${reason}`, 'put them into different units'));
    }
    for (const component of [...workflow.agents, ...workflow.toolServers]) {
      if (!unit.components.includes(component.name)) continue;
      if (component.mobility === 'external') problems.push(unplaceable(`"${component.name}" is external and is never deployed`));
      if (component.mobility === 'replicasOnly' && unit.components.length > 1) {
        problems.push(unplaceable(`"${component.name}" must have a unit of its own, but unit ${unit.id} holds more`));
      }
    }
  }
  for (const set of together) {
    const units = configuration.units.filter((unit) => unit.components.some((name) => set.includes(name)));
    if (units.length > 1)
      problems.push(unplaceable(`${set.join(' and ')} must be together, but are in ${units.map((unit) => unit.id).join(' and ')}`));
  }
  return problems;
}
