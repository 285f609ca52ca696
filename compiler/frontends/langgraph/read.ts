import type { Agent, Effect, SourceRef, Workflow } from '../../contracts/index.ts';
import { deriveChannels } from '../../passes/channels.ts';
import { checkWorkflow } from '../../passes/check.ts';
import type { Draft } from '../../passes/draft.ts';
import type { Frontend, ReadRequest, ReadResult } from '../frontend.ts';
import { placeOfExport, placeOfName } from '../source/exports.ts';
import { type CompiledGraph, componentName, isCompiledGraph, nextNodes, nodeIds } from './compiled-graph.ts';

/**
 * The graph's own loop becomes a hub agent, named after the export, and each node an agent the hub calls with the whole
 * state. The hub asks again at every step, so each remote segment costs a round trip of the state.
 *
 * Not supported yet, and refused at run time where it shows: state that is not JSON (LangChain messages), nodes that
 * return a `Command`, interrupts, checkpointers, streaming, a node's `config` and `writer`, subgraphs as units.
 */
export const langgraphFrontend: Frontend = {
  detect: isCompiledGraph,
  read: async (request) => readGraph(request),
};

function readGraph({ source: loaded, exportName, boundModels }: ReadRequest): ReadResult {
  const graph = loaded.modules[0]?.exports[exportName];
  if (!isCompiledGraph(graph)) return { workflow: undefined, problems: [] };
  const source: SourceRef = { module: loaded.modules[0]?.module ?? '', exportName };
  const hub = exportName === 'default' ? 'graph' : componentName(exportName);
  const agents: Agent[] = [
    {
      ...plain,
      name: hub,
      kind: 'code',
      description: `runs the graph ${exportName}`,
      effect: 'idempotent',
      domains: [],
      secrets: [],
      source,
    },
    ...nodeAgents(graph, source),
  ];
  const nodes = agents.slice(1).map((agent) => agent.name);
  const calls = nodes.map((to) => ({ from: hub, to, patterns: ['request'] as const }));
  const nothing = { toolServers: [], tools: [], topics: [], graphs: [] };
  const workflow: Workflow = {
    schemaVersion: 1,
    name: hub,
    frontend: 'langgraph',
    file: loaded.file,
    agents,
    ...nothing,
    models: [],
    blackboards: [],
    channels: deriveChannels({ agents, ...nothing, calls }),
    entry: { kind: 'agent', agent: hub },
  };
  const draft: Draft = {
    workflow,
    references: [],
    placeOf: (name) => (name === hub ? placeOfExport(loaded, source) : placeOfName(loaded, idOf(graph, name))),
    modules: loaded.modules,
  };
  const problems = checkWorkflow(draft, boundModels);
  return { workflow: problems.some((problem) => problem.severity === 'error') ? undefined : workflow, problems };
}

const plain = {
  mobility: 'movable',
  input: {},
  output: {},
  concurrency: 64,
  streams: false,
  usesSessionState: false,
  tools: [],
  blackboards: [],
} as const;

function nodeAgents(graph: CompiledGraph, source: SourceRef): Agent[] {
  const next = nextNodes(graph);
  return nodeIds(graph).map((id) => {
    const { effect, domains, secrets } = graph.builder.nodes[id]?.metadata ?? {};
    const to = (next.get(id) ?? []).map((target) => (target === '__end__' ? 'the end' : target));
    return {
      ...plain,
      name: componentName(id),
      kind: 'langgraph-node',
      description: `node ${id}, goes on to ${to.join(' or ') || 'nothing declared'}`,
      // `addNode(id, run, { metadata: { effect, domains, secrets } })`; a node says nothing else of itself.
      effect: effects.find((known) => known === effect) ?? 'idempotent',
      domains: strings(domains),
      secrets: strings(secrets),
      source,
    };
  });
}

const effects: readonly Effect[] = ['readOnly', 'idempotent', 'sideEffect'];
const strings = (value: unknown): readonly string[] => (Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []);
const idOf = (graph: CompiledGraph, name: string) => nodeIds(graph).find((id) => componentName(id) === name) ?? name;
