import { Document, isMap, isScalar, type Pair, type Scalar, visit } from 'yaml';
import type { FoundComponent, FoundModel, FoundProgram, FoundSystem, Question } from './found.ts';
import type { FoundGraph } from './graph-input.ts';

export interface DraftRequest {
  readonly system: FoundSystem;
  /** A graph whose code runs as it is: becomes the workflow, and the components of `system` are left to questions. */
  readonly graph?: FoundGraph;
  /** How users arrive, where traces say. */
  readonly arrivalsPerSecond?: number;
  /** Path of the scenario's JSON Schema as seen from the draft's folder. */
  readonly schema: string;
  /** The command that made it, shown at the top. */
  readonly madeBy: string;
}

export interface Draft {
  /** File name → text. */
  readonly files: { readonly [name: string]: string };
  readonly questions: readonly Question[];
}

/**
 * A scenario that validates, with the present layout as its baseline. What only the team knows stands in it with the most
 * careful value (an external agent may get next to no load, a program that nobody named cannot be started) and as a
 * question.
 */
export function writeDraft(request: DraftRequest): Draft {
  const { system, graph } = request;
  const components = graph === undefined ? placed(system) : [];
  const asked = system.questions.filter(({ about }) => graph === undefined || !about.split(', ').every((name) => isInside(system, name)));
  const questions = [...asked, ...missing(request, components)];
  const files = { 'scenario.yaml': scenarioText(request, components, questions) };
  return { files: graph === undefined ? { ...files, 'workflow.yaml': workflowText(request, components) } : files, questions };
}

/** Only what can be reached from an entry is part of the workflow; the compiler would refuse the rest. */
function placed(system: FoundSystem): readonly FoundComponent[] {
  const entry = entryOf(system);
  const reached = new Set([entry]);
  for (const name of reached) for (const edge of system.edges) if (edge.from === name) reached.add(edge.to);
  return system.components.filter((component) => reached.has(component.name));
}

const entryOf = ({ entry, components, edges }: FoundSystem): string =>
  entry ?? components.find(({ name }) => !edges.some((edge) => edge.to === name))?.name ?? components[0]?.name ?? 'agent';

const isExternal = (component: FoundComponent): boolean => component.run?.kind === 'url';

/** Known from traces alone: of a graph that is imported too, it is most likely the graph itself, a node or a tool. */
const isInside = ({ components }: FoundSystem, name: string): boolean =>
  components.some((component) => component.name === name && component.run === undefined);

function missing({ system, graph }: DraftRequest, components: readonly FoundComponent[]): Question[] {
  const about = system.name;
  const outside = system.components.filter(
    (component) => !components.includes(component) && (graph === undefined || component.run !== undefined),
  );
  const images = components.some(({ run }) => run?.kind === 'image');
  const reason = graph === undefined ? 'nothing was seen to call it' : 'it runs beside the graph';
  return [
    ...(graph === undefined ? [] : graphQuestions(system, graph)),
    ...outside.map(
      ({ name, place }): Question => ({ about: name, place, text: `${name} is left out: ${reason}. Who calls it, and how is it started?` }),
    ),
    ...components
      .filter((component) => component.run === undefined)
      .map(
        ({ name, place }): Question => ({
          about: name,
          place,
          text: `How is ${name} started? Put its ${images ? 'image' : 'command'} in place of "${placeholder}".`,
        }),
      ),
    ...unknownStarts(components),
    ...untold(system, components),
    ...components
      .filter(({ run }) => run?.kind === 'image' && run.command === undefined)
      .slice(0, 1)
      .map(
        (): Question => ({
          about,
          text: 'Shall it run without containers? Give each agent a command beside its image and set target: process.',
        }),
      ),
    {
      about,
      text: 'What do users really send? Put real inputs into workload.inputs: the layout that is best for them is what is looked for.',
    },
  ];
}

/** What would say more than the traces a draft is made of. */
function unknownStarts(components: readonly FoundComponent[]): Question[] {
  const unknown = components.filter(({ run }) => run === undefined);
  if (unknown.length === 0) return [];
  const about = unknown.map(({ name }) => name).join(', ');
  const movable = unknown.filter(({ mobility }) => mobility === 'movable').map(({ name }) => name);
  return [
    {
      about,
      text: 'Is there a compose file, a namespace or a langgraph.json? Import it together with the traces: it says how they are started.',
    },
    ...(movable.length === 0
      ? []
      : [
          {
            about,
            text: `May the code of ${movable.join(', ')} be built into other processes? Started by a command it stays a program of its own; as a langgraph.json or a workflow in TypeScript it can be moved.`,
          },
        ]),
  ];
}

/** Calls that were seen, from a program that is given no address for them. */
function untold(system: FoundSystem, components: readonly FoundComponent[]): Question[] {
  const deployed = components.filter((component) => !isExternal(component));
  return deployed.flatMap(({ name, run, place }) => {
    const told = run?.kind === 'image' ? Object.values(run.neighbours) : [];
    const callees = new Set(system.edges.flatMap((edge) => (edge.from === name && edge.certainty === 'seen' ? [edge.to] : [])));
    return [...callees]
      .filter((callee) => !told.includes(callee) && components.some((component) => component.name === callee))
      .map(
        (callee): Question => ({
          about: name,
          place,
          text: `Which environment variable tells ${name} where ${callee} is? Add neighbours: { THE_VARIABLE: ${callee} } to agents.${name}.`,
        }),
      );
  });
}

function graphQuestions(system: FoundSystem, graph: FoundGraph): Question[] {
  const about = graph.id;
  const beside = system.components.filter(({ name, run }) => run === undefined && name !== graph.id);
  const replicas = Math.max(1, ...system.components.filter(({ run }) => run === undefined).map((component) => component.replicas ?? 1));
  return [
    {
      about,
      text: `Which model does ${graph.id} ask? A simulated one answers until models.${Object.keys(graphModels(system))[0]} says { backend: openai-compatible, url, secret }; remove models if it asks none.`,
    },
    { about, text: `What does ${graph.id} take? ${graph.input.because}.` },
    ...(beside.length === 0
      ? []
      : [
          {
            about,
            text: `${beside.map(({ name }) => name).join(', ')} ${beside.length === 1 ? 'was' : 'were'} seen in traces and taken for parts of the graph: does any of it run beside the graph?`,
            place: beside[0]?.place ?? '',
          },
        ]),
    ...(replicas === 1
      ? []
      : [
          {
            about,
            text: `${replicas} processes were seen at work: how many run at once today? The baseline has one, with the whole graph in it.`,
          },
        ]),
  ];
}

/** What the graph asks by the names seen in traces; one of an unknown name without them. */
function graphModels({ models }: FoundSystem): { readonly [name: string]: object } {
  if (models.length === 0) return { main: { backend: 'simulated' } };
  return Object.fromEntries(models.map(({ name, model }) => [name, { backend: 'simulated', ...(model === undefined ? {} : { model }) }]));
}

const placeholder = 'how-is-it-started';

function scenarioText(request: DraftRequest, components: readonly FoundComponent[], questions: readonly Question[]): string {
  const { system, graph, schema, madeBy, arrivalsPerSecond } = request;
  const images = components.some((component) => component.run?.kind === 'image');
  const deployed = components.filter((component) => !isExternal(component));
  const scaled = deployed.flatMap(({ name, autoscaling }) =>
    autoscaling === undefined ? [] : [[name, [autoscaling.min, autoscaling.max]] as const],
  );
  const rate = Math.min(arrivalsPerSecond ?? 2, ...components.filter(isExternal).map(() => externalRate));
  const bound = system.models.filter(
    (model) => model.url !== undefined && model.usedBy.some((name) => components.some((each) => each.name === name)),
  );
  const document = new Document({
    name: system.name,
    workflow: graph?.specifier ?? './workflow.yaml',
    ...(images ? { target: 'docker' } : {}),
    ...(graph === undefined ? {} : { models: graphModels(system) }),
    ...(bound.length === 0 || graph !== undefined
      ? {}
      : { models: Object.fromEntries(bound.map((model) => [model.name, modelOf(model)])) }),
    ...(components.length === 0 ? {} : { agents: Object.fromEntries(components.map((each) => [each.name, agentOf(each, bound, images)])) }),
    // One process runs a graph today, whatever its nodes.
    ...(graph === undefined ? {} : { baseline: { layout: 'all-in-one' } }),
    ...(deployed.length === 0
      ? {}
      : {
          baseline: {
            layout: deployed.map(({ name, replicas = 1, resources }) => ({
              components: [name],
              replicas,
              ...(resources === undefined ? {} : { resources }),
            })),
          },
        }),
    workload: {
      inputs: [graph?.input.example ?? { text: 'put here what users really send' }],
      classes: { default: { arrivals: { process: 'poisson', perSecond: rate } } },
    },
    ...(scaled.length === 0 ? {} : { search: { replicas: Object.fromEntries(scaled) } }),
  });
  document.commentBefore = [
    ` yaml-language-server: $schema=${schema}`,
    ` A draft, made by ${madeBy}. ${graph === undefined ? 'The baseline is what was found running.' : 'The baseline is the whole graph in one process, as LangGraph runs it.'}`,
    ...(questions.length === 0 ? [] : [' Open questions:', ...questions.map((question) => `  - ${asLine(question)}`)]),
    ...system.services.map(({ name, what, place }) => ` Left where it is: ${name}, a ${what} (${place}).`),
  ].join('\n');
  for (const component of components) {
    const freedom = component.mobility === 'replicasOnly' ? 'replicas only' : component.mobility;
    const called = component.called === undefined ? '' : `${component.called}: `;
    comment(document, ['agents', component.name], ` ${called}${freedom}, ${inSentence(component.reason)} (${component.place})`);
  }
  for (const { name, autoscaling } of deployed) {
    if (autoscaling !== undefined) comment(document, ['search', 'replicas', name], ` scaled by ${autoscaling.by} today`);
  }
  return print(document);
}

const inSentence = (reason: string): string => (reason.charAt(0).toLowerCase() + reason.slice(1)).replace(/\.$/, '');

/** Calls per second for an agent whose owner was not asked: next to nothing. */
const externalRate = 1;

function agentOf(component: FoundComponent, bound: readonly FoundModel[], images: boolean): object {
  const spoken = component.options === undefined ? {} : { options: component.options };
  return {
    ...programOf(component.run, bound, images),
    ...(component.speaks === undefined || component.speaks === 'http-json' ? {} : { speaks: component.speaks }),
    ...spoken,
  };
}

/** `images`: the others are images, and one target starts them all. */
function programOf(run: FoundProgram | undefined, bound: readonly FoundModel[], images: boolean): object {
  if (run === undefined) return images ? { image: placeholder } : { command: [placeholder] };
  if (run.kind === 'url') return { external: { url: run.url, maxRate: externalRate, maxConcurrency: 1 } };
  const { image, command, environment, neighbours, models, secrets, port } = run;
  const asked = Object.entries(models).filter(([name]) => bound.some((model) => model.name === name));
  const some = <T extends object>(key: string, value: T): object => (Object.keys(value).length === 0 ? {} : { [key]: value });
  return {
    image,
    ...(command === undefined ? {} : { command }),
    ...(port === undefined ? {} : { port }),
    ...some('env', environment),
    ...some('neighbours', neighbours),
    ...some('models', Object.fromEntries(asked.map(([name, baseUrl]) => [name, { baseUrl }]))),
    ...some('secrets', secrets),
  };
}

const modelOf = ({ url, model }: FoundModel): object => ({ backend: 'openai-compatible', url, ...(model === undefined ? {} : { model }) });

function workflowText({ system, madeBy }: DraftRequest, components: readonly FoundComponent[]): string {
  const names = new Set(components.map(({ name }) => name));
  const calls = (name: string) => system.edges.filter((edge) => edge.from === name && names.has(edge.to)).map((edge) => edge.to);
  const agents = components.filter(({ kind }) => kind === 'agent');
  const servers = components.filter(({ kind }) => kind === 'toolServer');
  const spoken = ({ speaks, options }: FoundComponent) => ({
    ...(speaks === undefined || speaks === 'http-json' ? {} : { speaks }),
    ...(options === undefined ? {} : { options }),
  });
  const document = new Document({
    name: system.name,
    entry: entryOf(system),
    agents: Object.fromEntries(
      agents.map((agent) => [
        agent.name,
        {
          ...(agent.description ? { description: agent.description } : {}),
          ...(calls(agent.name).length === 0 ? {} : { calls: calls(agent.name) }),
          ...(agent.streams ? { streams: true } : {}),
          ...spoken(agent),
        },
      ]),
    ),
    ...(servers.length === 0
      ? {}
      : {
          toolServers: Object.fromEntries(
            servers.map((server) => [
              server.name,
              {
                ...spoken(server),
                ...(server.tools?.length ? { tools: Object.fromEntries(server.tools.map((tool) => [tool, {}])) } : { discovers: true }),
              },
            ]),
          ),
        }),
  });
  document.commentBefore = ` Who calls whom, as far as seen. A draft, made by ${madeBy}.`;
  for (const edge of system.edges.filter(({ certainty }) => certainty === 'guessed'))
    comment(document, ['agents', edge.from, 'calls'], ` guessed: ${edge.to}, from ${edge.place}`, true);
  return print(document);
}

/** Short lists and mappings on one line, as people write them. */
function print(document: Document): string {
  visit(document, {
    Seq: (_key, node) => {
      if (node.items.every(isScalar)) node.flow = true;
    },
    Map: (key, node) => {
      if (
        typeof key === 'number' ||
        (node.items.length <= 2 && node.items.every(({ value }) => isScalar(value) && !(node.commentBefore ?? value.comment)))
      ) {
        if (String(node).length < 100 && node.items.every((pair) => !(isScalar(pair.key) && pair.key.commentBefore))) node.flow = true;
      }
    },
  });
  return document.toString({ lineWidth: 120 });
}

const asLine = ({ text, place }: Question): string => (place === undefined ? text : `${text} (${place})`);

/** Puts a comment before a key; `add` keeps the one that stands there. */
function comment(document: Document, path: readonly string[], text: string, add = false): void {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
  if (!isMap(parent)) return;
  const pair = parent.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === path.at(-1)) as
    | Pair<Scalar>
    | undefined;
  if (pair === undefined) return;
  if (!isScalar(pair.key)) pair.key = document.createNode(pair.key) as Scalar;
  pair.key.commentBefore = add && pair.key.commentBefore ? `${pair.key.commentBefore}\n${text}` : text;
}
