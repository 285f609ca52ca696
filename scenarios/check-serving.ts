import type { ErrorCode, Problem, Workflow } from '../compiler/contracts/index.ts';
import type { ScenarioConfig } from './schema.ts';
import { unknownWord } from './unknown-word.ts';

export interface ServingCheck {
  readonly config: ScenarioConfig;
  readonly workflow: Workflow;
  readonly classes: readonly string[];
  /** Where a key stands in the file. */
  readonly at: (path: string) => NonNullable<Problem['at']>;
}

/** What `search.serving`, `search.pools`, `search.models` and `search.quality` name, and what they need of each other. */
export function checkServing({ config, workflow, classes, at }: ServingCheck): Problem[] {
  const { search } = config;
  const problems: Problem[] = [];
  const word = (code: ErrorCode, path: string, what: string, name: string, allowed: readonly string[]): boolean => {
    const problem = unknownWord({ code, at: at(path), what, word: name, allowed });
    if (problem !== undefined) problems.push(problem);
    return problem === undefined;
  };
  const contradiction = (path: string, message: string, fix: string) =>
    problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, at: at(path), fix });

  const bound = Object.keys(config.models);
  const asked = askedBy(workflow);
  const served = [...new Set([...workflow.models, ...bound])];
  for (const key of ['serving', 'pools'] as const)
    for (const name of Object.keys(search[key])) word('DMAS_CFG_UNKNOWN_MODEL', `search.${key}.${name}`, 'model', name, served);

  const mayUse = new Map<string, string[]>();
  for (const [agent, models] of asked) for (const model of models) mayUse.set(model, [...(mayUse.get(model) ?? []), agent]);
  for (const [agent, choice] of Object.entries(search.models)) {
    const path = `search.models.${agent}`;
    if (!word('DMAS_CFG_UNKNOWN_AGENT', path, 'agent that uses a model', agent, [...asked.keys()])) continue;
    const models = asked.get(agent) ?? [];
    const [first = ''] = models;
    if (Array.isArray(choice) && models.length > 1)
      contradiction(
        path,
        `"${agent}" asks for several models: ${models.join(', ')}`,
        `say for which, e.g. { ${first}: [${choice.join(', ')}] }`,
      );
    const byAsked = Array.isArray(choice) ? { [first]: choice } : choice;
    for (const [model, names] of Object.entries(byAsked)) {
      if (!word('DMAS_CFG_UNKNOWN_MODEL', `${path}.${model}`, `model that ${agent} asks for`, model, models)) continue;
      names.forEach((name, index) => {
        const where = Array.isArray(choice) ? `${path}.${index}` : `${path}.${model}.${index}`;
        if (word('DMAS_CFG_UNKNOWN_MODEL', where, 'model', name, bound)) mayUse.set(name, [...(mayUse.get(name) ?? []), agent]);
      });
      checkQuality(agent, model, names, path);
    }
  }
  for (const [model, ways] of Object.entries(search.pools)) {
    const users = [...new Set(mayUse.get(model) ?? [])];
    ways.forEach((groups, way) => {
      if (typeof groups === 'string') return;
      groups.forEach((group, index) => {
        group.forEach((agent, place) => {
          word('DMAS_CFG_UNKNOWN_AGENT', `search.pools.${model}.${way}.${index}.${place}`, `agent that uses ${model}`, agent, users);
        });
      });
      const names = groups.flat();
      const twice = names.find((agent, index) => names.indexOf(agent) !== index);
      if (twice !== undefined)
        contradiction(`search.pools.${model}.${way}`, `"${twice}" stands in two pools of ${model} at once`, 'name each agent once');
    });
  }

  const { scores, floor, rightAnswers } = search.quality;
  for (const [agent, models] of Object.entries(scores)) {
    word('DMAS_CFG_UNKNOWN_AGENT', `search.quality.scores.${agent}`, 'agent that uses a model', agent, [...asked.keys()]);
    for (const model of Object.keys(models))
      word('DMAS_CFG_UNKNOWN_MODEL', `search.quality.scores.${agent}.${model}`, 'model', model, bound);
  }
  if (floor !== undefined && typeof floor !== 'number')
    for (const agent of Object.keys(floor))
      word('DMAS_CFG_UNKNOWN_AGENT', `search.quality.floor.${agent}`, 'agent that uses a model', agent, [...asked.keys(), 'default']);
  if (rightAnswers !== undefined) {
    const without = classes.filter((name) => config.workload.classes[name]?.expect === undefined);
    if (without.length > 0)
      contradiction(
        'search.quality.rightAnswers',
        `right answers cannot be counted: class ${without.join(', ')} does not say what they are`,
        `add workload.classes.${without[0]}.expect, a JSON Lines file with the right answer of each input`,
      );
  }
  return problems;

  function checkQuality(agent: string, model: string, names: readonly string[], path: string): void {
    const table = search.quality.scores[agent];
    const without = names.filter((name) => table?.[name] === undefined);
    if (without.length > 0 && search.quality.rightAnswers === undefined) {
      contradiction(
        path,
        `nothing says how well "${agent}" does with ${without.join(', ')}, so a cheaper model would always win`,
        `add search.quality.scores.${agent}.${without[0]}, or search.quality.rightAnswers with workload.classes.<name>.expect`,
      );
      return;
    }
    const { floor } = search.quality;
    const least = typeof floor === 'number' ? floor : (floor?.[agent] ?? floor?.default ?? table?.[model]);
    const best = Math.max(...names.map((name) => table?.[name] ?? Number.POSITIVE_INFINITY));
    if (least !== undefined && best < least)
      contradiction(
        path,
        `no model of "${agent}" reaches the quality of ${least}: the best has ${best}`,
        'lower search.quality.floor or add a better model',
      );
  }
}

/** Models each agent asks for. */
function askedBy(workflow: Workflow): ReadonlyMap<string, readonly string[]> {
  const asked = new Map<string, string[]>();
  for (const channel of workflow.channels) {
    if (channel.kind !== 'model') continue;
    for (const agent of channel.from) asked.set(agent, [...new Set([...(asked.get(agent) ?? []), ...channel.to])]);
  }
  return asked;
}
