import { componentsOf, type ErrorCode, edgesOf, type Problem, type Workflow } from '../compiler/contracts/index.ts';
import { checkRights } from './check-rights.ts';
import { checkServing } from './check-serving.ts';
import type { Scenario } from './schema.ts';
import { unknownWord } from './unknown-word.ts';

/** The plug-ins there are, by kind; the command line hands them in. */
export interface KnownWords {
  readonly protocols: readonly string[];
  readonly targets: readonly string[];
  readonly stores: readonly string[];
  readonly backends: readonly string[];
  readonly strategies: readonly string[];
}

/** Everything in a scenario that must agree with the workflow and with what is installed; all problems at once. */
export function checkScenario(scenario: Scenario, workflow: Workflow, words: KnownWords): Problem[] {
  const { config } = scenario;
  const problems: Problem[] = [];
  const at = (path: string) => {
    const parts = path.split('.');
    while (parts.length > 0 && !scenario.places[parts.join('.')]) parts.pop();
    return { file: scenario.file, ...(scenario.places[parts.join('.')] ?? {}) };
  };
  const expectWord = (code: ErrorCode, path: string, what: string, word: string, allowed: readonly string[], fix?: string) => {
    const problem = unknownWord({ code, at: at(path), what, word, allowed, fix });
    if (problem !== undefined) problems.push(problem);
  };
  const contradiction = (path: string, message: string, fix: string) =>
    problems.push({ code: 'DMAS_CFG_CONTRADICTION', severity: 'error', message, at: at(path), fix });

  const components = componentsOf(workflow);
  const channels = [...new Set(edgesOf(workflow).map((edge) => edge.channel))].sort();
  const classes = Object.keys(config.workload.classes);
  const component = (path: string, name: string) => expectWord('DMAS_CFG_UNKNOWN_AGENT', path, 'agent or tool server', name, components);
  const protocol = (path: string, name: string) => expectWord('DMAS_CFG_UNKNOWN_PROTOCOL', path, 'protocol', name, words.protocols);
  const channel = (path: string, name: string) => expectWord('DMAS_CFG_UNKNOWN_CHANNEL', path, 'channel', name, channels);

  expectWord('DMAS_CFG_UNKNOWN_TARGET', 'target', 'target', config.target.kind, words.targets);
  expectWord('DMAS_CFG_INVALID_VALUE', 'state.store', 'state store', config.state.store, words.stores);
  expectWord('DMAS_CFG_INVALID_VALUE', 'search.strategy', 'search strategy', config.search.strategy, words.strategies);

  // Models no agent asks for may be bound for a choice of models.
  const chosen = Object.values(config.search.models).flatMap((choice) => (Array.isArray(choice) ? choice : Object.values(choice).flat()));
  const models = [...new Set([...workflow.models, ...chosen])];
  for (const [name, model] of Object.entries(config.models)) {
    expectWord('DMAS_CFG_UNKNOWN_MODEL', `models.${name}`, 'model', name, models);
    expectWord('DMAS_CFG_INVALID_VALUE', `models.${name}.backend`, 'model backend', model.backend, words.backends);
  }
  for (const name of workflow.models) {
    if (config.models[name]) continue;
    problems.push({
      code: 'DMAS_WF_UNBOUND_MODEL',
      severity: 'error',
      message: `the workflow uses model "${name}", which models does not bind`,
      at: at('models'),
      fix: `add models: { ${name}: { backend: simulated } }`,
    });
  }
  for (const name of Object.keys(config.prices.models))
    expectWord('DMAS_CFG_UNKNOWN_MODEL', `prices.models.${name}`, 'model', name, models);

  for (const [name, { speaks, neighbours }] of Object.entries(config.agents)) {
    if (speaks !== undefined) protocol(`agents.${name}.speaks`, speaks);
    for (const [variable, neighbour] of Object.entries(neighbours)) {
      if (neighbour.protocol !== undefined) protocol(`agents.${name}.neighbours.${variable}.protocol`, neighbour.protocol);
    }
  }

  const { baseline, search } = config;
  protocol('baseline.protocol', baseline.protocol.protocol);
  for (const [name, choice] of Object.entries(baseline.channels)) {
    channel(`baseline.channels.${name}`, name);
    protocol(`baseline.channels.${name}`, choice.protocol);
  }
  if (typeof baseline.layout !== 'string') {
    const placed = new Map<string, number>();
    baseline.layout.forEach((unit, index) => {
      const names = Array.isArray(unit) ? unit : unit.components;
      names.forEach((name, position) => {
        const path = Array.isArray(unit) ? `baseline.layout.${index}.${position}` : `baseline.layout.${index}.components.${position}`;
        component(path, name);
        const other = placed.get(name);
        if (other !== undefined) contradiction(path, `"${name}" stands in two units of the baseline`, 'name each agent once');
        placed.set(name, index);
      });
    });
  }

  for (const name of Object.keys(search.replicas)) if (name !== 'default') component(`search.replicas.${name}`, name);
  for (const [name, range] of Object.entries(search.replicas)) {
    if (range.min > range.max)
      contradiction(`search.replicas.${name}`, `replicas of "${name}": ${range.min} is more than ${range.max}`, 'write [least, most]');
  }
  for (const name of Object.keys(search.resources)) if (name !== 'default') component(`search.resources.${name}`, name);
  for (const [name, choices] of Object.entries(search.protocols)) {
    if (name !== 'default') channel(`search.protocols.${name}`, name);
    choices.forEach((choice, index) => {
      protocol(`search.protocols.${name}.${index}`, choice.protocol);
    });
  }
  problems.push(...checkRights(config, workflow, at));
  problems.push(...checkServing({ config, workflow, classes, at }));
  for (const key of ['together', 'apart'] as const) {
    search[key].forEach((set, index) => {
      set.forEach((name, position) => {
        component(`search.${key}.${index}.${position}`, name);
      });
    });
  }
  search.apart.forEach((set, index) => {
    const clash = search.together.find((group) => group.filter((name) => set.includes(name)).length > 1);
    if (clash) contradiction(`search.apart.${index}`, `${set.join(' and ')} must be apart and together at once`, 'remove one of the two');
  });
  if (search.maxUnits !== undefined && search.apart.some((set) => set.length > (search.maxUnits ?? 0))) {
    contradiction('search.maxUnits', `maxUnits ${search.maxUnits} leaves no room for the components that must be apart`, 'raise maxUnits');
  }

  for (const [name, { humans = [] }] of Object.entries(config.workload.classes)) {
    for (const [index, { component: asking }] of humans.entries())
      if (asking !== undefined) component(`workload.classes.${name}.humans.${index}.component`, asking);
  }

  // The names of tools that are found at run time nobody can check now.
  const discovers = workflow.toolServers.some((server) => server.discovers === true);
  (discovers ? [] : config.workload.allowSideEffects).forEach((name, index) => {
    const tools = workflow.tools.filter((tool) => tool.effect === 'sideEffect').map((tool) => tool.name);
    const others = workflow.agents.filter((agent) => agent.mobility === 'external' && agent.effect === 'sideEffect');
    const servers = workflow.toolServers.filter((server) => server.discovers);
    // Tools of such a server are known at run time alone: any name may be one.
    if (servers.length > 0) return;
    const allowed = [...tools, ...others.map((agent) => agent.name)];
    expectWord('DMAS_CFG_UNKNOWN_AGENT', `workload.allowSideEffects.${index}`, 'tool with side effects', name, allowed);
  });

  config.objective.slo.forEach((limit, index) => {
    if (limit.class !== undefined)
      expectWord('DMAS_CFG_UNKNOWN_CLASS', `objective.slo.${index}.class`, 'request class', limit.class, classes);
    if (limit.max === undefined && limit.min === undefined) {
      contradiction(
        `objective.slo.${index}`,
        `the limit on ${limit.metric} has neither max nor min`,
        'add max: (or min: for throughput and completion)',
      );
    }
    const streamed = /^(firstToken|gap)\./.test(limit.metric);
    const concerned = limit.class === undefined ? classes : [limit.class];
    const silent = concerned.filter((name) => config.workload.classes[name]?.stream === false);
    if (streamed && silent.length > 0) {
      contradiction(
        `objective.slo.${index}`,
        `${limit.metric} needs streamed replies, but class ${silent.join(', ')} does not stream`,
        `add stream: true to the class`,
      );
    }
  });
  return problems;
}
