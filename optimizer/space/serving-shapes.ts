import {
  type ErrorCode,
  type Literal,
  type Problem,
  poolId,
  type ServingConfiguration,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { didYouMean as suggest } from '../../compiler/contracts/suggest.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';
import { type Asked, askedModels, modelsWithin } from './model-choices.ts';
import type { ServingShape, UnfitSettings } from './space.ts';

/** Whether the engine of a model fits into the memory of its GPUs under these options. */
export type FitsInMemory = (
  model: string,
  options: ServingConfiguration['options'],
) => true | { readonly needsGb: number; readonly hasGb: number };

export interface ServingInput {
  readonly workflow: Workflow;
  readonly search: ScenarioConfig['search'];
  /** Serving of what runs today, of every bound model. */
  readonly today: { readonly [model: string]: ServingConfiguration };
  /** Options of models no agent asks for today, which a choice of models may bring in. */
  readonly models?: ScenarioConfig['models'];
  readonly fits?: FitsInMemory;
  /** Models whose servers we start; default: all that are bound. */
  readonly deployed?: (model: string) => boolean;
}

type Add = (code: ErrorCode, message: string, rest?: Partial<Problem>) => void;

/** Shapes beyond this are refused: each would be searched by itself. */
const mostShapes = 2_000;
/** All ways to group more agents than this are too many to try (five have 52). */
const mostGrouped = 5;

/** Everything `search.serving`, `search.pools` and `search.models` allow, without settings that do not fit in memory. */
export function servingShapes(
  input: ServingInput,
  add: Add,
): { readonly shapes: readonly ServingShape[]; readonly unfit: readonly UnfitSettings[] } {
  const { workflow, search } = input;
  const asked = askedModels(workflow);
  const unfit: UnfitSettings[] = [];
  const settings = new Map<string, readonly ServingConfiguration[]>();
  const settingsOf = (model: string) => {
    const known = settings.get(model);
    if (known) return known;
    const made = fitting(input, model, allSettings(input, model), unfit, add);
    settings.set(model, made);
    return made;
  };
  checkWords(input, asked, add);
  let shapes: ServingShape[] = [];
  for (const choice of modelsWithin(search, asked)) {
    const used = (each: Asked) => choice[each.agent]?.[each.model] ?? each.model;
    // Models nobody asks for are bound and served all the same today.
    const idle = Object.keys(input.today).filter((model) => !asked.some((each) => each.model === model));
    const models = [...new Set([...asked.map(used), ...idle])].filter((model) => todayOf(input, model) !== undefined).sort();
    let partial: ServingShape[] = [{ ...(Object.keys(choice).length > 0 ? { modelChoice: choice } : {}), pools: [] }];
    for (const model of models) {
      const users = [...new Set(asked.filter((each) => used(each) === model).map(({ agent }) => agent))].sort();
      const ways = groupings(search.pools[model] ?? ['shared'], users);
      partial = partial.flatMap((shape) =>
        ways.map((groups) => ({
          ...shape,
          pools: [...shape.pools, ...groups.map((agents) => poolChoice(model, agents, settingsOf(model)))],
        })),
      );
    }
    shapes = shapes.concat(partial);
    if (shapes.length > mostShapes) {
      add('DMAS_CFG_CONTRADICTION', `search.pools and search.models allow more than ${mostShapes} ways to share pools`, {
        fix: 'Name the groups worth trying instead of `every`, or fewer models per agent.',
      });
      break;
    }
  }
  return { shapes: shapes.length > 0 ? shapes : [{ pools: [] }], unfit };
}

function poolChoice(model: string, agents: readonly string[] | undefined, settings: readonly ServingConfiguration[]) {
  const whose = agents === undefined ? {} : { model, agents };
  return { id: poolId(model, agents), options: settings.map((setting) => ({ ...whose, ...setting })) };
}

/** The distinct ways to group the users of a model, each a list of pools; undefined stands for everybody else. */
export function groupings(
  wanted: ScenarioConfig['search']['pools'][string],
  users: readonly string[],
): readonly (readonly (readonly string[] | undefined)[])[] {
  const ways = wanted.flatMap((way): (readonly string[])[][] => {
    if (way === 'shared') return [[]];
    if (way === 'dedicated') return [users.map((agent) => [agent])];
    if (way === 'every') return users.length > mostGrouped ? [[]] : partitions(users);
    return [way.map((group) => [...new Set(group)].filter((agent) => users.includes(agent)).sort()).filter((group) => group.length > 0)];
  });
  const pools = ways.map((groups): readonly (readonly string[] | undefined)[] => {
    const grouped = new Set(groups.flat());
    const rest = users.filter((agent) => !grouped.has(agent));
    // One group of all is the pool everybody shares, under its plain name.
    if (groups.length <= 1 && (groups.length === 0 || rest.length === 0)) return [undefined];
    return rest.length > 0 ? [...groups, undefined] : groups;
  });
  return [
    ...new Map(
      pools.map((groups) => [
        groups
          .map((group) => group?.join('+') ?? '')
          .sort()
          .join('|'),
        groups,
      ]),
    ).values(),
  ];
}

/** All set partitions of a few names. */
function partitions(names: readonly string[]): (readonly string[])[][] {
  const [first, ...rest] = names;
  if (first === undefined) return [[]];
  return partitions(rest).flatMap((groups) => [
    ...groups.map((_, i) => groups.map((group, j) => (i === j ? [first, ...group] : group))),
    [[first], ...groups],
  ]);
}

const todayOf = ({ today, models }: ServingInput, model: string): ServingConfiguration | undefined => {
  const bound = models?.[model];
  return today[model] ?? (bound === undefined ? undefined : { replicas: 1, options: bound.options });
};

function allSettings(input: ServingInput, model: string): readonly ServingConfiguration[] {
  const present = todayOf(input, model) ?? { replicas: 1, options: {} };
  let settings: ServingConfiguration[] = [present];
  for (const [option, values] of Object.entries(input.search.serving[model] ?? {}))
    settings = settings.flatMap((setting) => values.map((value) => withOption(setting, option, value)));
  return [...new Map(settings.map((setting) => [JSON.stringify(setting), setting])).values()];
}

const withOption = (setting: ServingConfiguration, option: string, value: Literal): ServingConfiguration =>
  option === 'replicas' && typeof value === 'number'
    ? { ...setting, replicas: value }
    : { ...setting, options: { ...setting.options, [option]: value } };

function fitting(
  { fits, deployed }: ServingInput,
  model: string,
  settings: readonly ServingConfiguration[],
  unfit: UnfitSettings[],
  add: Add,
): readonly ServingConfiguration[] {
  if (!fits || deployed?.(model) === false) return settings;
  let reason = '';
  const kept = settings.filter((setting) => {
    let room: ReturnType<FitsInMemory>;
    try {
      room = fits(model, setting.options);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      add('DMAS_CFG_INVALID_VALUE', `model ${model} cannot be served like this: ${error.message}`, {
        fix: `Correct models.${model}.options or search.serving.${model}.`,
      });
      return true;
    }
    if (room === true) return true;
    reason ||= `${describeSetting(setting)} needs ${gb(room.needsGb)} of memory per GPU and has ${gb(room.hasGb)}`;
    return false;
  });
  if (kept.length < settings.length) unfit.push({ model, count: settings.length - kept.length, reason });
  if (kept.length > 0) return kept;
  add('DMAS_CFG_CONTRADICTION', `model ${model} fits in memory under none of its settings: ${reason}`, {
    fix: `Give it a larger GPU or more of them (tensorParallelSize) in models.${model}.options or search.serving.${model}.`,
  });
  return settings;
}

const describeSetting = ({ options }: ServingConfiguration): string => {
  const told = ['profile', 'gpu', 'tensorParallelSize'].flatMap((name) =>
    options[name] === undefined ? [] : [`${name}=${options[name]}`],
  );
  return told.length > 0 ? told.join(', ') : 'its setting';
};
const gb = (value: number): string => `${value.toFixed(1)} GB`;

function checkWords({ search, today, workflow, models, deployed }: ServingInput, asked: readonly Asked[], add: Add): void {
  const known = [...new Set([...workflow.models, ...Object.keys(today), ...Object.keys(models ?? {})])];
  for (const key of ['serving', 'pools'] as const) {
    for (const model of Object.keys(search[key])) {
      if (!known.includes(model)) {
        const didYouMean = suggest(model, known);
        add('DMAS_CFG_UNKNOWN_MODEL', `search.${key} names the model ${model}, which no agent uses`, {
          allowed: known,
          ...(didYouMean ? { didYouMean } : {}),
        });
      } else if ((today[model] === undefined && models?.[model] === undefined) || deployed?.(model) === false) {
        add('DMAS_CFG_UNENFORCEABLE', `search.${key} names the model ${model}, which is not served by this deployment`, {
          fix: 'Bind it to a backend that is deployed with the application, or remove it from the search.',
        });
      }
    }
  }
  for (const [model, ways] of Object.entries(search.pools)) {
    const mayUse = [...new Set(asked.filter((each) => choicesFor(search, each).includes(model)).map(({ agent }) => agent))].sort();
    if (ways.includes('every') && mayUse.length > mostGrouped)
      add('DMAS_CFG_CONTRADICTION', `search.pools.${model}: ${mayUse.length} agents can be grouped in too many ways to try \`every\``, {
        fix: `Name the groups worth trying; \`every\` is for up to ${mostGrouped} agents.`,
      });
    for (const groups of ways) {
      if (typeof groups === 'string') continue;
      const seen = new Set<string>();
      for (const agent of groups.flat()) {
        if (!mayUse.includes(agent)) {
          const didYouMean = suggest(agent, mayUse);
          add('DMAS_CFG_UNKNOWN_AGENT', `search.pools.${model} names ${agent}, which does not use that model`, {
            allowed: mayUse,
            ...(didYouMean ? { didYouMean } : {}),
          });
        } else if (seen.has(agent)) {
          add('DMAS_CFG_CONTRADICTION', `search.pools.${model} puts ${agent} into two pools at once`, { fix: 'Name each agent once.' });
        }
        seen.add(agent);
      }
    }
  }
}

/** Models that may answer an agent that asks for one. */
function choicesFor(search: ScenarioConfig['search'], { agent, model }: Asked): readonly string[] {
  const listed = search.models[agent];
  if (listed === undefined) return [model];
  return Array.isArray(listed) ? listed : (listed[model] ?? [model]);
}
