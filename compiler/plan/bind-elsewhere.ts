import type { ForeignConfig, ScenarioConfig } from '../../scenarios/schema.ts';
import {
  type Agent,
  type Channel,
  didYouMean,
  type Elsewhere,
  edgesOf,
  elsewhereOf,
  type Place,
  type Problem,
  type ToolServer,
  type Workflow,
} from '../contracts/index.ts';

type Agents = ScenarioConfig['agents'];

/**
 * The workflow with what the scenario says of the components somebody else built: how each is spoken to, whether we
 * deploy it, which models it uses. `at` gives the place of a key of the scenario by its dotted path.
 */
export function bindElsewhere(
  workflow: Workflow,
  agents: Agents,
  at: (path: string) => Place,
): { readonly workflow: Workflow; readonly problems: readonly Problem[] } {
  const problems = [...unknownEntries(workflow, agents, at), ...missingEntries(workflow, agents, at), ...misused(workflow, at)];
  const bound = bind(workflow, agents);
  for (const [name, config] of Object.entries(agents)) {
    if (elsewhereOf(workflow, name) !== undefined) problems.push(...checkEntry(bound, name, config, at));
  }
  return { workflow: bound, problems };
}

function bind(workflow: Workflow, agents: Agents): Workflow {
  const change = <T extends Agent | ToolServer>(component: T): T => {
    const config = agents[component.name];
    if (config === undefined || component.elsewhere === undefined) return component;
    return {
      ...component,
      mobility: config.external === undefined ? 'replicasOnly' : 'external',
      concurrency: config.concurrency ?? config.external?.maxConcurrency ?? component.concurrency,
      secrets: [...new Set([...component.secrets, ...config.secrets])].sort(),
      elsewhere: spokenBy(component.elsewhere, config),
    };
  };
  const bound = workflow.agents.map((agent) => {
    const { effect } = agents[agent.name] ?? {};
    return effect === undefined || agent.elsewhere === undefined ? change(agent) : { ...change(agent), effect };
  });
  const uses = bound.flatMap(({ name, elsewhere }) =>
    elsewhere === undefined ? [] : Object.keys(agents[name]?.models ?? {}).map((model) => ({ name, model })),
  );
  const modelChannels = uses.map(({ name, model }): Channel => {
    const id = `${name}->model:${model}`;
    return { id, kind: 'model', from: [name], to: [model], patterns: ['request', 'stream'], repeatable: true };
  });
  const safe = (name: string) => bound.find((agent) => agent.name === name)?.effect !== 'sideEffect';
  const channels = workflow.channels.map((channel) =>
    channel.kind === 'agent' ? { ...channel, repeatable: channel.to.every(safe) } : channel,
  );
  return {
    ...workflow,
    agents: bound,
    toolServers: workflow.toolServers.map(change),
    models: [...new Set([...workflow.models, ...uses.map(({ model }) => model)])].sort(),
    channels: [...channels, ...modelChannels].sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

/** The scenario knows what is really run, so what it says wins. */
function spokenBy(elsewhere: Elsewhere, config: ForeignConfig): Elsewhere {
  const speaks = config.speaks ?? elsewhere.speaks;
  const options = config.speaks === undefined ? { ...elsewhere.options, ...config.options } : config.options;
  const asks = Object.values(config.neighbours).flatMap(({ component, protocol, options: asked }) =>
    protocol === undefined ? [] : [[component, { protocol, options: asked }] as const],
  );
  return { speaks, options, ...(asks.length === 0 ? {} : { asks: Object.fromEntries(asks) }) };
}

const foreignNames = ({ agents, toolServers }: Workflow): string[] =>
  [...agents, ...toolServers].filter(({ elsewhere }) => elsewhere !== undefined).map(({ name }) => name);

const error = (code: Problem['code'], message: string, at: Place, rest: Partial<Problem> = {}): Problem => ({
  code,
  severity: 'error',
  message,
  at,
  ...rest,
});

function unknownEntries(workflow: Workflow, agents: Agents, at: (path: string) => Place): Problem[] {
  const foreign = foreignNames(workflow);
  const ours = [...workflow.agents, ...workflow.toolServers].map(({ name }) => name).filter((name) => !foreign.includes(name));
  return Object.keys(agents).flatMap((name) => {
    if (foreign.includes(name)) return [];
    if (ours.includes(name)) {
      const fix = `remove agents.${name}, or let the workflow say that it runs elsewhere: elsewhere(${name})`;
      return error('DMAS_WF_ELSEWHERE', `"${name}" is code of this workflow, so nothing is to be started for it`, at(`agents.${name}`), {
        fix,
      });
    }
    const guess = didYouMean(name, foreign);
    const known = { ...(foreign.length > 0 ? { allowed: foreign } : {}), ...(guess === undefined ? {} : { didYouMean: guess }) };
    return error('DMAS_CFG_UNKNOWN_AGENT', `the workflow has no "${name}" that runs elsewhere`, at(`agents.${name}`), known);
  });
}

function missingEntries(workflow: Workflow, agents: Agents, at: (path: string) => Place): Problem[] {
  return foreignNames(workflow)
    .filter((name) => agents[name] === undefined)
    .map((name) =>
      error('DMAS_WF_ELSEWHERE', `"${name}" runs elsewhere, but agents does not say how it is run or reached`, at('agents'), {
        fix: `add agents: { ${name}: { command: […] } }, or image: or external: instead of the command`,
      }),
    );
}

/** What takes part in our own bookkeeping cannot be somebody else's. */
function misused(workflow: Workflow, at: (path: string) => Place): Problem[] {
  const foreign = new Set(foreignNames(workflow));
  const nodes = workflow.graphs.flatMap((graph) =>
    graph.nodes
      .filter((node) => foreign.has(node))
      .map((node) =>
        error('DMAS_WF_ELSEWHERE', `"${node}" runs elsewhere, so it cannot be a node of the graph "${graph.agent}"`, at(`agents.${node}`), {
          fix: 'call it from an agent that is the node: the state of the graph travels from node to node',
        }),
      ),
  );
  const publishers = workflow.topics.flatMap((topic) =>
    topic.publishers
      .filter((name) => foreign.has(name))
      .map((name) =>
        error('DMAS_WF_ELSEWHERE', `"${name}" runs elsewhere, so it cannot publish on "${topic.name}"`, at(`agents.${name}`), {
          fix: 'publish from the agent that calls it',
        }),
      ),
  );
  return [...nodes, ...publishers];
}

function checkEntry(workflow: Workflow, name: string, config: ForeignConfig, at: (path: string) => Place): Problem[] {
  const path = `agents.${name}`;
  const problems: Problem[] = [];
  const contradiction = (where: string, message: string, fix: string) =>
    problems.push(error('DMAS_CFG_CONTRADICTION', message, at(where), { fix }));
  const starts = config.command !== undefined || config.image !== undefined;
  if (!starts && config.external === undefined) {
    problems.push(
      error('DMAS_CFG_MISSING_KEY', `${path}: how "${name}" is run or reached is missing`, at(path), {
        allowed: ['command', 'image', 'external'],
        fix: 'add command: [program, argument, …], image: name or external: { url, maxRate, maxConcurrency }',
      }),
    );
  }
  if (starts && config.external !== undefined)
    contradiction(`${path}.external`, `${path} is both started here and external`, 'keep command (and image), or external');
  if (config.external !== undefined) {
    for (const key of ['env', 'neighbours', 'models', 'secrets'] as const) {
      if (Object.keys(config[key]).length > 0)
        contradiction(`${path}.${key}`, `${path} is external: it is not started here and gets no ${key}`, `remove ${key}`);
    }
  }
  problems.push(...checkNeighbours(workflow, name, config, at), ...checkVariables(name, config, at));
  return problems;
}

function checkNeighbours(workflow: Workflow, name: string, config: ForeignConfig, at: (path: string) => Place): Problem[] {
  const problems: Problem[] = [];
  const callees = edgesOf(workflow).flatMap((edge) => (edge.from === name ? [edge.to] : []));
  for (const [variable, neighbour] of Object.entries(config.neighbours)) {
    const where = at(`agents.${name}.neighbours.${variable}`);
    const { component } = neighbour;
    if (!callees.includes(component)) {
      const guess = didYouMean(component, callees);
      problems.push(
        error('DMAS_CFG_UNKNOWN_AGENT', `the workflow does not say that "${name}" calls "${component}"`, where, {
          ...(callees.length > 0 ? { allowed: callees } : {}),
          ...(guess === undefined ? {} : { didYouMean: guess }),
          fix: `add ${component} to the calls of ${name} in the workflow`,
        }),
      );
      continue;
    }
    const callee = elsewhereOf(workflow, component);
    const asked = neighbour.protocol ?? elsewhereOf(workflow, name)?.speaks;
    if (callee !== undefined && asked !== callee.speaks) {
      problems.push(
        error('DMAS_CFG_CONTRADICTION', `"${name}" asks "${component}" in ${asked}, but that speaks ${callee.speaks}`, where, {
          fix: `write ${variable}: { component: ${component}, protocol: ${callee.speaks} } if ${name} can speak it`,
        }),
      );
    }
  }
  if (config.external !== undefined) return problems;
  const told = new Set(Object.values(config.neighbours).map(({ component }) => component));
  for (const callee of callees.filter((candidate) => !told.has(candidate))) {
    problems.push({
      ...error('DMAS_WF_ELSEWHERE', `"${name}" calls "${callee}", but is not told where that is`, at(`agents.${name}`), {
        fix: `add neighbours: { ${callee.toUpperCase().replaceAll('-', '_')}_URL: ${callee} }`,
      }),
      severity: 'warning',
    });
  }
  return problems;
}

/** The variable that receives the port: none for what is only an image with a port of its own. */
function toldPort({ external, port, command }: ForeignConfig): { variable: string; path: string }[] {
  if (external !== undefined || (typeof port === 'number' && command === undefined)) return [];
  return [{ variable: typeof port === 'number' ? 'PORT' : port, path: 'port' }];
}

/** One variable can hold one thing. */
function checkVariables(name: string, config: ForeignConfig, at: (path: string) => Place): Problem[] {
  const models = Object.entries(config.models).flatMap(([model, { baseUrl, key, model: called }]) =>
    [baseUrl, key, called].flatMap((variable) => (variable === undefined ? [] : [{ variable, path: `models.${model}` }])),
  );
  const all = [
    ...toldPort(config),
    ...Object.keys(config.env).map((variable) => ({ variable, path: `env.${variable}` })),
    ...Object.keys(config.neighbours).map((variable) => ({ variable, path: `neighbours.${variable}` })),
    ...config.secrets.map((variable, index) => ({ variable, path: `secrets.${index}` })),
    ...models,
  ];
  return all.flatMap(({ variable, path }, index) => {
    const first = all.findIndex((other) => other.variable === variable);
    if (first === index) return [];
    const message = `agents.${name}: ${variable} is given by both ${all[first]?.path} and ${path}`;
    return error('DMAS_CFG_CONTRADICTION', message, at(`agents.${name}.${path}`), { fix: 'give each variable one meaning' });
  });
}
