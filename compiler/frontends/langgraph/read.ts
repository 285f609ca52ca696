import type { Agent, Effect, Hub, Problem, SourceRef, Workflow } from '../../contracts/index.ts';
import { deriveChannels } from '../../passes/channels.ts';
import { checkWorkflow } from '../../passes/check.ts';
import type { Draft } from '../../passes/draft.ts';
import type { Frontend, ReadRequest, ReadResult } from '../frontend.ts';
import { placeOfExport, placeOfName } from '../source/exports.ts';
import {
  componentName,
  declaredEdges,
  graphsIn,
  hubName,
  openNodes,
  type PlaceableNode,
  placeableNodes,
  remembers,
  segmentPairs,
} from './compiled-graph.ts';
import { type CompiledGraph, isCompiledGraph, isPregel, isSupported, missingFields, supportedVersions } from './fields.ts';
import { readManifest } from './manifest.ts';
import { installedVersion } from './version.ts';

/**
 * The graph's own loop becomes a hub agent, named after the export or as `langgraph.json` names it, and each node an
 * agent the hub calls with its input; nodes of sub-graphs too, whose loops run in the hub's process. Everything else
 * (state, reducers, edges, checkpoints) stays the framework's: nothing of the application is changed.
 */
export const langgraphFrontend: Frontend = {
  detect: isPregel,
  read: async (request) => readGraph(request),
  manifests: ['langgraph.json'],
  readManifest,
};

function readGraph(request: ReadRequest): ReadResult {
  const { source: loaded, exportName, manifest, boundModels, models = boundModels ?? [] } = request;
  const graph = loaded.modules[0]?.exports[exportName];
  const source: SourceRef = { module: loaded.modules[0]?.module ?? '', exportName };
  const at = placeOfExport(loaded, source);
  const refuse = (message: string, fix: string): ReadResult => ({
    workflow: undefined,
    problems: [{ code: 'DMAS_WF_LANGGRAPH', severity: 'error', message, at, fix }],
  });
  if (!isCompiledGraph(graph)) {
    const message = `${exportName} is made with the functional API (entrypoint, task), whose steps are calls inside one function and cannot be placed`;
    return refuse(message, 'write it as a StateGraph, or run it in one piece as an agent that runs elsewhere');
  }
  const version = installedVersion(loaded.folder);
  const missing = missingFields(graph);
  if (missing.length > 0) {
    const found = version === undefined ? '' : `; ${version} is installed`;
    return refuse(`${exportName} lacks ${missing.join(', ')}`, `use @langchain/langgraph ${supportedVersions}${found}`);
  }
  const name = manifest?.name ?? exportName;
  const hub = hubName(graph, name);
  const nodes = placeableNodes(graph);
  const secrets = [...Object.keys(manifest?.environment ?? {})].sort();
  const agents = [
    hubAgent(graph, hub, exportName, secrets, models, source),
    ...nodes.map((node) => nodeAgent(node, secrets, models, source)),
  ];
  const calls = nodes.flatMap(({ component }) => [
    { from: hub, to: component, patterns: ['request', 'stream'] as const },
    // Operations on the store, which is the hub's.
    ...(graph.store === undefined ? [] : [{ from: component, to: hub, patterns: ['request'] as const }]),
  ]);
  const nothing = { toolServers: [], tools: [], topics: [], graphs: [] };
  const workflow: Workflow = {
    schemaVersion: 1,
    name: name === 'default' ? 'graph' : componentName(name),
    frontend: 'langgraph',
    file: loaded.file,
    agents,
    ...nothing,
    models: [...new Set(agents.flatMap((agent) => agent.model ?? []))].sort(),
    blackboards: [],
    hubs: [hubOf(graph, hub)],
    channels: deriveChannels({ agents, ...nothing, calls }),
    entry: { kind: 'agent', agent: hub },
  };
  const idOf = (component: string) => nodes.find((node) => node.component === component)?.id ?? component;
  const draft: Draft = {
    workflow,
    references: [],
    placeOf: (component) => (component === hub ? at : placeOfName(loaded, idOf(component))),
    modules: loaded.modules,
  };
  const problems = [...versionProblems(version, at), ...checkWorkflow(draft, boundModels)];
  return { workflow: problems.some((problem) => problem.severity === 'error') ? undefined : workflow, problems };
}

function versionProblems(version: string | undefined, at: Problem['at']): readonly Problem[] {
  if (version === undefined || isSupported(version)) return [];
  const message = `@langchain/langgraph ${version} is not among the versions this was tested with (${supportedVersions}); all fields it needs are there`;
  return [{ code: 'DMAS_WF_LANGGRAPH', severity: 'warning', message, ...(at === undefined ? {} : { at }) }];
}

const plain = {
  mobility: 'movable',
  input: {},
  output: {},
  concurrency: 64,
  streams: true,
  usesSessionState: false,
  tools: [],
  blackboards: [],
} as const;

function hubAgent(
  graph: CompiledGraph,
  name: string,
  exportName: string,
  secrets: readonly string[],
  models: readonly string[],
  source: SourceRef,
): Agent {
  const [model] = models;
  return {
    ...plain,
    name,
    kind: 'code',
    description: `runs the graph ${exportName}`,
    // A second try of a run that left a checkpoint is another run.
    effect: remembers(graph) ? 'sideEffect' : 'idempotent',
    ...(remembers(graph) ? { sticky: true } : {}),
    // Conditional edges run in the loop's process, and some ask a model.
    ...(model === undefined ? {} : { model }),
    domains: [],
    secrets,
    source,
  };
}

function nodeAgent(
  { graph, id, component, path }: PlaceableNode,
  secrets: readonly string[],
  models: readonly string[],
  source: SourceRef,
): Agent {
  const { effect, domains, secrets: own, hosts, model } = graph.builder.nodes[id]?.metadata ?? {};
  const to = declaredEdges(graph)
    .filter((edge) => edge.from.includes(id))
    .map((edge) => (edge.to === '__end__' ? 'the end' : edge.to));
  const known = [...new Set(to)].join(' or ') || 'nothing declared';
  // LangGraph nodes reach models by themselves, through the names of the environment; which one of several a node says.
  const asked = models.find((candidate) => candidate === model) ?? models[0];
  return {
    ...plain,
    name: component,
    kind: 'langgraph-node',
    description: `node ${path.join('/')}, goes on to ${known}${openNodes(graph).includes(id) ? ' and where a run says' : ''}`,
    // `addNode(id, run, { metadata: { effect, domains, secrets, hosts, model } })`; a node says nothing else of itself.
    effect: effects.find((candidate) => candidate === effect) ?? 'idempotent',
    ...(asked === undefined ? {} : { model: asked }),
    domains: strings(domains),
    secrets: [...new Set([...secrets, ...strings(own)])].sort(),
    ...(strings(hosts).length === 0 ? {} : { hosts: strings(hosts) }),
    source,
  };
}

const effects: readonly Effect[] = ['readOnly', 'idempotent', 'sideEffect'];
const strings = (value: unknown): readonly string[] => (Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []);

/** What the graph and its sub-graphs declare, in component names. A node that is a sub-graph stands for its nodes' loop. */
function hubOf(graph: CompiledGraph, agent: string): Hub {
  const all = graphsIn(graph);
  const named = (path: readonly string[]) => (id: string) =>
    id === '__end__' || id === '__start__' ? end(id) : componentName([...path, id].join('-'));
  return {
    agent,
    edges: all.flatMap(({ graph: each, path }) =>
      declaredEdges(each).map(({ from, to, kind }) => ({ from: from.map(named(path)), to: named(path)(to), kind })),
    ),
    open: all.flatMap(({ graph: each, path }) => openNodes(each).map(named(path))),
    state: all.flatMap(({ graph: each, path }) => stateOf(each, path)),
    segments: all.flatMap(({ graph: each, path }) => segmentPairs(each).map(([from, to]) => [named(path)(from), named(path)(to)] as const)),
  };
}
const end = (id: string) => (id === '__end__' ? 'end' : 'start');

const stateOf = ({ channels }: CompiledGraph, path: readonly string[]): Hub['state'] =>
  Object.entries(channels)
    .filter(([key]) => !/^(__|branch:|join:)/.test(key))
    .map(([key, { lc_graph_name: kind = 'unknown', operator }]) => ({
      key,
      kind,
      reduced: operator !== undefined,
      ...(path.length === 0 ? {} : { subgraph: path.join('/') }),
    }));
