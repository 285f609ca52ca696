import { componentsOf, hostWord, type Place, type Problem, parseOutsideHost, type Workflow } from '../compiler/contracts/index.ts';
import { keptApart, rightsOf } from './rights.ts';
import type { ScenarioConfig } from './schema.ts';
import { unknownWord } from './unknown-word.ts';

type At = (path: string) => Place;

/** What `rights` says held against the workflow, the search and the target. */
export function checkRights(config: ScenarioConfig, workflow: Workflow, at: At): readonly Problem[] {
  const rights = rightsOf(config);
  const components = componentsOf(workflow);
  const callers = [...new Set([...components, ...workflow.tools.map(({ name }) => name)])];
  const known = (path: string, what: string, names: readonly string[], allowed: readonly string[]) =>
    names.flatMap((name) => unknownName(at(`${path}.${name}`), what, name, allowed) ?? []);
  const classes = [...new Set(Object.values(rights.data).flat())];
  return [
    ...known('rights.hosts', 'agent, tool server or tool', Object.keys(rights.hosts), callers),
    ...known('rights.domains', 'agent or tool server', Object.keys(rights.domains), components),
    ...known('rights.data', 'agent or tool server', Object.keys(rights.data), components),
    ...rights.apart.flatMap((set, index) =>
      set.flatMap((name, position) => unknownClass(at(`rights.apart.${index}.${position}`), name, classes) ?? []),
    ),
    ...known('rights.regions.data', 'class of data', Object.keys(rights.regions.data), classes),
    ...bothInOne(config, at),
    ...mustMeet(config, workflow, at),
    ...checkRegions(config, at),
  ];
}

const contradiction = (at: Place, message: string, fix: string): Problem => ({
  code: 'DMAS_CFG_CONTRADICTION',
  severity: 'error',
  message,
  at,
  fix,
});

function unknownName(at: Place, what: string, word: string, allowed: readonly string[]): Problem | undefined {
  const code = what === 'class of data' ? 'DMAS_CFG_INVALID_VALUE' : 'DMAS_CFG_UNKNOWN_AGENT';
  return unknownWord({ code, at, what, word, allowed });
}

const unknownClass = (at: Place, word: string, allowed: readonly string[]): Problem | undefined =>
  unknownWord({ code: 'DMAS_CFG_INVALID_VALUE', at, what: 'class of data', word, allowed, fix: 'say under rights.data who handles it' });

/** A component that handles two classes that stay apart could stand nowhere. */
function bothInOne(config: ScenarioConfig, at: At): Problem[] {
  const { data, apart } = rightsOf(config);
  return Object.entries(data).flatMap(([component, classes]) =>
    apart.flatMap((set) => {
      const both = set.filter((name) => classes.includes(name));
      if (both.length < 2) return [];
      const message = `${component} handles ${both.join(' and ')} data, which rights.apart keeps out of one unit`;
      return contradiction(at(`rights.data.${component}`), message, 'split the component, or remove one of the two');
    }),
  );
}

/** `search.together` asks for what rights forbid. */
function mustMeet(config: ScenarioConfig, workflow: Workflow, at: At): Problem[] {
  const pairs = keptApart(workflow, rightsOf(config));
  return config.search.together.flatMap((set, index) => {
    const broken = pairs.find(({ components }) => components.every((name) => set.includes(name)));
    if (broken === undefined) return [];
    const message = `${broken.components.join(' and ')} must share a unit and may not: ${broken.reason}`;
    return contradiction(
      at(`search.together.${index}`),
      message,
      'remove one of them from search.together, or change what rights say of them',
    );
  });
}

/** Units run where the target does. */
function checkRegions(config: ScenarioConfig, at: At): Problem[] {
  const { regions, data } = rightsOf(config);
  const limits = [
    ...(regions.units === undefined ? [] : [{ path: 'rights.regions.units', what: 'units', allowed: regions.units }]),
    ...Object.entries(regions.data)
      .filter(([name]) => Object.values(data).some((classes) => classes.includes(name)))
      .map(([name, allowed]) => ({ path: `rights.regions.data.${name}`, what: `units that handle ${name} data`, allowed })),
  ];
  const { region, kind } = config.target as { readonly kind: string; readonly region?: unknown };
  return limits.flatMap(({ path, what, allowed }): Problem[] => {
    if (typeof region === 'string' && allowed.includes(region)) return [];
    const fix = `write target: { kind: ${kind}, region: ${allowed[0]} } if it does run there`;
    const places = allowed.join(' or ');
    if (typeof region !== 'string')
      return [contradiction(at(path), `${what} may run in ${places} only, but the target does not say where it runs`, fix)];
    return [{ ...contradiction(at('target.region'), `${what} may run in ${places} only, but the target runs in ${region}`, fix), allowed }];
  });
}

/**
 * Receivers of traces held against `rights.regions.telemetry`: one that is in no entry of `rights.telemetry`, or in another
 * region, may get none. The receiver of dmas-opt itself is no concern of theirs: it is where dmas-opt runs.
 */
export function checkTelemetry(config: Pick<ScenarioConfig, 'rights'>, endpoints: readonly string[], at: At): readonly Problem[] {
  const { regions, telemetry } = rightsOf(config);
  const allowed = regions.telemetry;
  if (allowed === undefined) return [];
  return endpoints.flatMap((endpoint): Problem[] => {
    const place = parseOutsideHost(endpoint);
    const word = place === undefined ? endpoint : hostWord(place);
    const region = telemetry[word];
    if (region !== undefined && allowed.includes(region)) return [];
    const where = region === undefined ? 'stands in a region nobody named' : `stands in ${region}`;
    const message = `traces may go to ${allowed.join(' or ')} only, but their receiver ${word} ${where}`;
    const fix = `unset OTEL_EXPORTER_OTLP_ENDPOINT, or write rights: { telemetry: { "${word}": ${allowed[0]} } } if it does stand there`;
    return [{ ...contradiction(at('rights.regions.telemetry'), message, fix), allowed }];
  });
}
