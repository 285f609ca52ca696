import type { ForeignConfig } from '../../scenarios/schema.ts';
import {
  elsewhereOf,
  type PlannedNeighbour,
  type PlannedProgram,
  type Problem,
  type Route,
  type UnitConfiguration,
} from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import type { PlanRequest } from './request.ts';

/** The scenario's entry of a component that runs elsewhere; undefined for one of ours. */
export function foreignConfig({ workflow, scenario }: PlanRequest, component: string): ForeignConfig | undefined {
  return elsewhereOf(workflow, component) === undefined ? undefined : scenario.agents[component];
}

/** The component of a unit somebody else built. It is alone there: its mobility is `replicasOnly`. */
export const foreignIn = ({ workflow }: PlanRequest, unit: Pick<UnitConfiguration, 'components'>): string | undefined =>
  unit.components.find((name) => elsewhereOf(workflow, name) !== undefined);

/** How the foreign components of a configuration are started, given the routes out of their units. */
export function planPrograms(request: PlanRequest): {
  readonly problems: readonly Problem[];
  readonly of: (unit: UnitConfiguration, routes: readonly Route[]) => PlannedProgram | undefined;
} {
  return {
    problems: request.configuration.units.flatMap((unit) => {
      const name = foreignIn(request, unit);
      return name === undefined ? [] : unstartable(request, name);
    }),
    of: (unit, routes) => {
      const name = foreignIn(request, unit);
      const config = name === undefined ? undefined : foreignConfig(request, name);
      return name === undefined || config === undefined ? undefined : programOf(request, name, config, routes);
    },
  };
}

function unstartable(request: PlanRequest, name: string): Problem[] {
  const config = foreignConfig(request, name);
  const { target, targetTraits } = request;
  const kind = targetTraits.programs;
  if (config === undefined) return [unplaceable(`"${name}" runs elsewhere, but the scenario does not say how`, `add agents.${name}`)];
  if (kind === undefined) return [unplaceable(`target ${target} starts nothing that somebody else built, as "${name}"`)];
  if (kind === 'image' && isStdio(request, name)) {
    return [unplaceable(`"${name}" speaks MCP on its standard streams, which target ${target} cannot reach in a container`)];
  }
  if (config[kind] !== undefined) return [];
  const given = config.command === undefined ? 'an image' : 'a command';
  return [unplaceable(`"${name}" is given by ${given}, which target ${target} does not start`, `add agents.${name}.${kind}`)];
}

function programOf(request: PlanRequest, name: string, config: ForeignConfig, routes: readonly Route[]): PlannedProgram {
  const neighbours = Object.entries(config.neighbours).flatMap(([variable, { component }]) => {
    const route = routes.find((candidate) => candidate.from === name && candidate.to === component);
    return route === undefined ? [] : [[variable, neighbourAt(request, component, route)] as const];
  });
  return {
    ...(request.targetTraits.programs === 'image' ? { image: config.image ?? '' } : { command: config.command ?? [] }),
    folder: config.folder,
    environment: config.env,
    ...portOf(config.port, request.targetTraits.programs === 'image'),
    path: config.path,
    neighbours: Object.fromEntries(neighbours),
    models: Object.fromEntries(
      Object.entries(config.models).map(([model, { baseUrl, key, model: called }]) => [
        model,
        { baseUrl, ...(key === undefined ? {} : { key }), ...(called === undefined ? {} : { model: called }) },
      ]),
    ),
    ...(config.ready === undefined ? {} : { ready: config.ready }),
    ...(isStdio(request, name) ? { stdio: { revision: stdioRevision(request, name) } } : {}),
    instrumented: config.instrumented,
  };
}

/** Containers have an address each, so a port may be fixed there; processes share one and are always told. */
const portOf = (port: ForeignConfig['port'], isImage: boolean): Pick<PlannedProgram, 'portVariable' | 'fixedPort'> =>
  typeof port === 'string' ? { portVariable: port } : { portVariable: 'PORT', ...(isImage ? { fixedPort: port } : {}) };

const isStdio = ({ workflow }: PlanRequest, name: string) => elsewhereOf(workflow, name)?.options.transport === 'stdio';

/** Every stdio server knows the handshake of the older revision, so it is the one spoken unless another is named. */
function stdioRevision({ workflow }: PlanRequest, name: string): string {
  const revision = elsewhereOf(workflow, name)?.options.revision;
  return revision === undefined || revision === 'auto' ? '2025-11-25' : String(revision);
}

function neighbourAt(request: PlanRequest, component: string, { address, protocol }: Route): PlannedNeighbour {
  const foreign = foreignConfig(request, component);
  if (foreign?.external !== undefined) return { component, address, url: foreign.external.url };
  if (foreign !== undefined) return { component, address, url: `http://{at}${foreign.path === '/' ? '' : foreign.path}` };
  const template = request.protocolTraits[protocol]?.strangerUrl ?? 'http://{at}/{component}';
  return { component, address, url: template.replace('{component}', encodeURIComponent(component)) };
}
