import { type OutsideHost, parseOutsideHost, type Workflow } from '../compiler/contracts/index.ts';
import type { ScenarioConfig } from './schema.ts';
import { type RightsConfig, rightsSchema } from './schema-rights.ts';

/** What a scenario says of rights; runs of older versions wrote none. */
export const rightsOf = ({ rights }: Pick<Partial<ScenarioConfig>, 'rights'>): RightsConfig => rights ?? rightsSchema.parse({});

/** Two components that never share a unit, and why. */
export interface KeptApart {
  readonly components: readonly [string, string];
  readonly reason: string;
}

/** Security domains of a component: what the workflow and the scenario say together, sorted. */
export function domainsOf(workflow: Workflow, rights: RightsConfig, component: string): readonly string[] {
  const declared = [...workflow.agents, ...workflow.toolServers].find(({ name }) => name === component)?.domains ?? [];
  return [...new Set([...declared, ...(rights.domains[component] ?? [])])].sort();
}

/**
 * Pairs of components that domains or classes of data keep apart. Components without a domain go with any; two with
 * domains share a unit only when theirs are the same.
 */
export function keptApart(workflow: Workflow, rights: RightsConfig): readonly KeptApart[] {
  const components = [...workflow.agents, ...workflow.toolServers].map(({ name }) => name);
  const domains = new Map(components.map((name) => [name, domainsOf(workflow, rights, name)]));
  return components.flatMap((a, index) =>
    components.slice(index + 1).flatMap((b): KeptApart[] => {
      const reason = differentDomains(a, b, domains) ?? clashingData(a, b, rights);
      return reason === undefined ? [] : [{ components: [a, b], reason }];
    }),
  );
}

function differentDomains(a: string, b: string, domains: ReadonlyMap<string, readonly string[]>): string | undefined {
  const [left, right] = [domains.get(a)?.join(' + ') ?? '', domains.get(b)?.join(' + ') ?? ''];
  return left === '' || right === '' || left === right ? undefined : `${a} is in the security domain ${left}, ${b} in ${right}`;
}

function clashingData(a: string, b: string, { data, apart }: RightsConfig): string | undefined {
  for (const set of apart) {
    for (const first of set) {
      const second = set.find((other) => other !== first && data[b]?.includes(other));
      if (data[a]?.includes(first) && second !== undefined) return `${a} handles ${first} data and ${b} ${second} data, which stay apart`;
    }
  }
  return undefined;
}

/** Places outside that components of one unit declare they call, with the tools that travel with them; sorted. */
export function declaredHosts(workflow: Workflow, rights: RightsConfig, components: readonly string[]): readonly OutsideHost[] {
  const placed = [...workflow.agents, ...workflow.toolServers].filter(({ name }) => components.includes(name));
  const tools = workflow.tools.filter(({ name, server }) =>
    server === undefined ? placed.some((component) => component.tools?.includes(name)) : components.includes(server),
  );
  const places = new Map<string, { host: string; port: number; for: Set<string> }>();
  for (const { name, hosts = [] } of [...placed, ...tools]) {
    for (const word of [...hosts, ...(rights.hosts[name] ?? [])]) {
      const place = parseOutsideHost(word);
      if (place === undefined) continue;
      const key = `${place.host}:${place.port}`;
      const known = places.get(key) ?? { ...place, for: new Set<string>() };
      places.set(key, { ...known, for: known.for.add(name) });
    }
  }
  return [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => ({ ...place, for: [...place.for].sort() }));
}
