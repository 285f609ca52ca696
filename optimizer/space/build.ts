import {
  type ChannelConfiguration,
  componentsOf,
  type ErrorCode,
  edgesOf,
  type LayoutDefaults,
  type Problem,
  type Resources,
  spokenOn,
  type TargetTraits,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { didYouMean as suggest } from '../../compiler/contracts/suggest.ts';
import { keptApart, rightsOf } from '../../scenarios/rights.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';
import { itemsOf, minimumUnits } from './partitions.ts';
import { type FitsInMemory, servingShapes } from './serving-shapes.ts';
import type { Space } from './space.ts';

export interface SpaceInput {
  readonly workflow: Workflow;
  readonly config: Pick<ScenarioConfig, 'search' | 'baseline'> & Partial<Pick<ScenarioConfig, 'agents' | 'models' | 'rights'>>;
  readonly targetTraits: TargetTraits;
  /** Ids of all protocols that may be named. */
  readonly protocolIds: readonly string[];
  readonly defaults: LayoutDefaults;
  /** Whether a model's engine fits into memory; default: everything does. */
  readonly fits?: FitsInMemory;
  /** Models whose servers we start; default: all that are bound. */
  readonly deployed?: (model: string) => boolean;
}

/**
 * The search space the scenario describes for this workflow and target, and everything that is wrong with the
 * description. With an error among the problems the space is still returned, built from what could be understood.
 *
 * Components of mobility `external` are not in it: they are measured, never placed. Where the scenario says nothing,
 * units have one replica, channels keep the baseline's protocol and resources stay as they are.
 */
export function buildSpace(input: SpaceInput): { readonly space: Space; readonly problems: readonly Problem[] } {
  const { workflow, config, defaults } = input;
  const { search } = config;
  const problems: Problem[] = [];
  const external = new Set([...workflow.agents, ...workflow.toolServers].filter((c) => c.mobility === 'external').map((c) => c.name));
  const components = componentsOf(workflow).filter((name) => !external.has(name));
  const channels = [...new Set(edgesOf(workflow).map((edge) => edge.channel))].sort();

  const add = (code: ErrorCode, message: string, rest: Partial<Problem> = {}) =>
    problems.push({ code, severity: 'error', message, ...rest });
  const known = (code: ErrorCode, what: string, name: string, where: string, allowed: readonly string[]) => {
    if (allowed.includes(name)) return true;
    const didYouMean = suggest(name, allowed);
    add(code, `${where} names the ${what} ${name}, which the workflow does not have`, {
      allowed,
      ...(didYouMean ? { didYouMean } : {}),
    });
    return false;
  };
  const knownComponent = (name: string, where: string) => {
    if (!external.has(name)) return known('DMAS_CFG_UNKNOWN_AGENT', 'component', name, where, components);
    add('DMAS_CFG_CONTRADICTION', `${where} names ${name}, which is external and never deployed`, {
      fix: `Remove ${name} from ${where}, or let it be moved in the workflow.`,
    });
    return false;
  };

  for (const [name, range] of Object.entries(search.replicas)) {
    if (name !== 'default') knownComponent(name, 'search.replicas');
    if (range.min > range.max)
      add('DMAS_CFG_CONTRADICTION', `search.replicas.${name} asks for at least ${range.min} and at most ${range.max} replicas`);
  }
  for (const name of Object.keys(search.resources)) if (name !== 'default') knownComponent(name, 'search.resources');
  for (const name of Object.keys(search.protocols))
    if (name !== 'default') known('DMAS_CFG_UNKNOWN_CHANNEL', 'channel', name, 'search.protocols', channels);
  for (const choice of Object.values(search.protocols).flat()) checkProtocol(choice, input.protocolIds, add);
  const keepKnown = (sets: readonly (readonly string[])[], where: string) =>
    sets.map((set) => [...new Set(set)].filter((name) => knownComponent(name, where))).filter((set) => set.length > 1);
  const together = keepKnown(search.together, 'search.together');
  const apart = keepKnown(search.apart, 'search.apart');
  const byRights = keptApart(workflow, rightsOf(config)).filter(({ components: pair }) => pair.every((name) => components.includes(name)));

  const replicas = Object.fromEntries(
    components.map((name) => {
      const { min, max } = search.replicas[name] ?? search.replicas.default ?? { min: 1, max: 1 };
      return [name, { min, max: Math.min(max, mostCallers(input, name)) }];
    }),
  );
  const protocols = Object.fromEntries(
    channels.map((id) => {
      const fixed = spokenOn(workflow, id);
      if (fixed !== undefined) return [id, [fixed]];
      const choices = search.protocols[id] ?? search.protocols.default ?? [config.baseline.channels[id] ?? defaults.protocol];
      const possible = distinct(choices).filter((choice) => reaches(choice, input));
      return [id, possible.length > 0 ? possible : [defaults.protocol]];
    }),
  );
  const serving = servingShapes(
    {
      workflow,
      search,
      today: defaults.serving,
      ...(config.models ? { models: config.models } : {}),
      ...(input.fits ? { fits: input.fits } : {}),
      ...(input.deployed ? { deployed: input.deployed } : {}),
    },
    add,
  );
  const space: Space = {
    workflow,
    components,
    together,
    apart: [...apart, ...byRights.map(({ components: pair }) => pair)],
    ...(byRights.length > 0 ? { apartByRights: byRights } : {}),
    maxUnits: search.maxUnits ?? Math.max(1, components.length),
    replicas,
    protocols,
    resources: enforceable(input, components, add),
    serving: serving.shapes,
    ...(serving.unfit.length > 0 ? { unfit: serving.unfit } : {}),
    defaults,
  };
  if (!problems.some((problem) => problem.severity === 'error')) problems.push(...contradictions(space));
  return { space, problems };
}

/** Each replica of a caller gets a share of what an external callee may be given; with less than one call it could do nothing. */
function mostCallers({ workflow, config }: SpaceInput, caller: string): number {
  const callees = edgesOf(workflow).flatMap((edge) => (edge.from === caller ? [edge.to] : []));
  return Math.min(...callees.map((callee) => config.agents?.[callee]?.external?.maxConcurrency ?? Number.POSITIVE_INFINITY));
}

function checkProtocol(
  choice: ChannelConfiguration,
  protocolIds: readonly string[],
  add: (code: ErrorCode, message: string, rest?: Partial<Problem>) => void,
): void {
  if (protocolIds.includes(choice.protocol)) return;
  const didYouMean = suggest(choice.protocol, protocolIds);
  add('DMAS_CFG_UNKNOWN_PROTOCOL', `search.protocols names the protocol ${choice.protocol}, which does not exist`, {
    allowed: protocolIds,
    ...(didYouMean ? { didYouMean } : {}),
  });
}

/** A unix socket joins processes of one host only, and not every target can share one between units. */
const reaches = ({ options }: ChannelConfiguration, { targetTraits }: SpaceInput): boolean =>
  options.transport !== 'unix' || targetTraits.unixSockets;

const distinct = <T>(choices: readonly T[]): readonly T[] => [
  ...new Map(choices.map((choice) => [JSON.stringify(choice), choice])).values(),
];

/** A limit the target cannot enforce changes the bill but not the behaviour, so searching it would only find the cheapest lie. */
function enforceable(
  input: SpaceInput,
  components: readonly string[],
  add: (code: ErrorCode, message: string, rest?: Partial<Problem>) => void,
): { readonly [component: string]: readonly Resources[] } {
  const { enforces } = input.targetTraits;
  const out: Record<string, readonly Resources[]> = {};
  const listed = input.config.search.resources;
  for (const [name, choices] of Object.entries(listed)) {
    if (new Set(choices.map((choice) => choice.vcpu)).size > 1 && !enforces.vcpu)
      add('DMAS_CFG_UNENFORCEABLE', `search.resources.${name} searches vcpu, which this target does not limit`, {
        fix: 'Keep one vcpu value, or choose a target that limits it.',
      });
    if (new Set(choices.map((choice) => choice.memoryMb)).size > 1 && !enforces.memory)
      add('DMAS_CFG_UNENFORCEABLE', `search.resources.${name} searches memoryMb, which this target does not limit`, {
        fix: 'Keep one memoryMb value, or choose a target that limits it.',
      });
  }
  for (const name of components) {
    const choices = listed[name] ?? listed.default;
    if (choices) out[name] = distinct(choices);
  }
  return out;
}

function contradictions(space: Space): readonly Problem[] {
  const problems: Problem[] = [];
  const add = (message: string, fix: string) => problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, fix });
  const { items } = itemsOf(space);
  const pinned = new Set(
    [...space.workflow.agents, ...space.workflow.toolServers].filter((c) => c.mobility === 'replicasOnly').map((c) => c.name),
  );
  for (const item of items) {
    for (const set of space.apart) {
      const both = set.filter((name) => item.components.includes(name));
      const byRights = space.apartByRights?.find(({ components }) => components === set);
      if (both.length > 1 && byRights !== undefined)
        add(
          `${both.join(' and ')} must share a unit (search.together) and may not: ${byRights.reason}`,
          'Remove one of them from search.together.',
        );
      else if (both.length > 1)
        add(`${both.join(' and ')} must share a unit (search.together) and may not (search.apart)`, 'Remove one of the two.');
    }
    const alone = item.components.find((name) => pinned.has(name));
    if (item.components.length > 1 && alone !== undefined)
      add(`${alone} keeps a unit of its own (replicasOnly), but search.together joins it with others`, 'Remove it from search.together.');
    if (item.replicas.min > item.replicas.max)
      add(
        `${item.components.join(' and ')} must share a unit, but no number of replicas is allowed for all of them`,
        'Make their ranges in search.replicas overlap.',
      );
  }
  if (problems.length === 0 && minimumUnits(space) > space.maxUnits)
    add(`no layout keeps apart what must be apart within ${space.maxUnits} units`, 'Raise search.maxUnits or relax search.apart.');
  return problems;
}
