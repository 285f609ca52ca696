import type { Configuration, Workflow } from '../../compiler/contracts/index.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';

/** An agent and a model its code asks for. */
export interface Asked {
  readonly agent: string;
  readonly model: string;
}

/** Who asks for what, in order of agent and model. */
export function askedModels(workflow: Workflow): readonly Asked[] {
  const pairs = workflow.channels
    .filter((channel) => channel.kind === 'model')
    .flatMap((channel) => channel.from.flatMap((agent) => channel.to.map((model) => ({ agent, model }))));
  const distinct = new Map(pairs.map((pair) => [`${pair.agent} ${pair.model}`, pair]));
  return [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
}

type Search = Pick<ScenarioConfig['search'], 'models' | 'quality'>;

/** Models that may answer, what is asked for among them or not, without those below the floor of quality. */
export function allowedModels(search: Search, { agent, model }: Asked): readonly string[] {
  const listed = search.models[agent];
  const named = listed === undefined ? undefined : Array.isArray(listed) ? listed : listed[model];
  if (named === undefined) return [model];
  const scores = search.quality.scores[agent];
  const floor = floorOf(search, { agent, model });
  return [...new Set(named)].filter((name) => {
    const score = scores?.[name];
    return floor === undefined || score === undefined || score >= floor;
  });
}

/** Score below which an agent must not fall; undefined where nothing says so. */
export function floorOf({ quality }: Search, { agent, model }: Asked): number | undefined {
  const { floor, scores } = quality;
  if (typeof floor === 'number') return floor;
  return floor?.[agent] ?? floor?.default ?? scores[agent]?.[model];
}

/** Every choice of models within the floor, as `Configuration.modelChoice` without those that get what they ask for. */
export function* modelsWithin(search: Search, asked: readonly Asked[]): Generator<NonNullable<Configuration['modelChoice']>> {
  const open = asked.map((each) => ({ ...each, models: allowedModels(search, each) }));
  const descend = function* (index: number, chosen: Record<string, Record<string, string>>): Generator<typeof chosen> {
    const each = open[index];
    if (!each) {
      yield chosen;
      return;
    }
    for (const model of each.models) {
      if (model === each.model) yield* descend(index + 1, chosen);
      else yield* descend(index + 1, { ...chosen, [each.agent]: { ...chosen[each.agent], [each.model]: model } });
    }
  };
  yield* descend(0, {});
}
