/*
 * inferWorkflow(digest: TraceDigest): InferredWorkflow
 *
 * What foreign traces say of an application, as a draft in the words of the compiler: which components there are, which
 * of them can be moved and why, who calls whom, what runs in one process today, and what could not be seen. Names are
 * those of the digest (`slug` is the one a scenario may use); nothing here is made up: what the traces leave open is a
 * question.
 */
import {
  type Agent,
  type Channel,
  type Configuration,
  canonicalConfiguration,
  defaultResources,
  type Mobility,
  type ToolServer,
  type TraceDigest,
  type TracedComponent,
  type TracedEdge,
  unitId,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { placeComponents } from './infer-components.ts';
import { inferQuestions } from './infer-questions.ts';

export interface InferredWorkflow {
  /**
   * Agents, tool servers, models and channels as far as seen. `file` and `source` are empty and schemas are open, since no
   * code was read. Databases, queues and people are not in it.
   */
  readonly workflow: Workflow;
  /** Everything seen, also what is not in the workflow; by name. */
  readonly components: readonly InferredComponent[];
  /** Between components of the workflow. */
  readonly edges: readonly InferredEdge[];
  /** What runs today: one unit per service, with the processes seen as replicas. Resources are the defaults: traces do not say them. */
  readonly baseline: Configuration;
  /** Name in the digest → name of the component that holds it; tools in the process of their agent are held by it. */
  readonly holderOf: { readonly [traced: string]: string };
  readonly questions: readonly InferredQuestion[];
}

export interface InferredComponent {
  readonly name: string;
  /** Lower-case letters, digits and dashes, unique over all components. */
  readonly slug: string;
  readonly kind: TracedComponent['kind'] | 'tool server';
  readonly mobility: Mobility;
  /** Why it has this mobility, as a sentence. */
  readonly reason: string;
  readonly services: readonly string[];
  /** Processes seen over the whole window; 0 for what sends no spans. */
  readonly instances: number;
  /** Empty when the traces do not say. */
  readonly languages: readonly string[];
  /** Names in the digest it stands for: itself, tools in its process, or all that one process of another language holds. */
  readonly holds: readonly string[];
  readonly calls: number;
}

export interface InferredEdge {
  readonly channel: string;
  readonly from: string;
  readonly to: string;
  readonly kind: TracedEdge['kind'];
  /** As traced, e.g. `http`; null when unknown. */
  readonly protocol: string | null;
  /** Both ends run in one process today. */
  readonly inProcess: boolean;
  readonly callsPerRequest: number;
}

export interface InferredQuestion {
  /** Components it is about. */
  readonly about: readonly string[];
  readonly question: string;
}

/** See the top of the file. Pure; the same digest gives the same draft. */
export function inferWorkflow(digest: TraceDigest): InferredWorkflow {
  const { components, holderOf } = placeComponents(digest);
  const inWorkflow = new Map(components.filter(({ kind }) => isPart(kind)).map((component) => [component.name, component]));
  const edges = inferEdges(digest, holderOf, inWorkflow);
  const entries = [...digest.roots]
    .sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1))
    .map(({ entry }) => holderOf[entry]);
  const entry = [...entries, ...inWorkflow.keys()].find((name) => name !== undefined && inWorkflow.has(name)) ?? '';
  const agents = [...inWorkflow.values()].filter(({ kind }) => kind !== 'tool server').map((each) => agentOf(each, digest));
  const servers = [...inWorkflow.values()].filter(({ kind }) => kind === 'tool server');
  const workflow: Workflow = {
    schemaVersion: 1,
    name: 'traced',
    frontend: 'traces',
    file: '',
    agents,
    toolServers: servers.map(serverOf),
    tools: servers.flatMap((server) =>
      server.holds.map((name) => ({
        name,
        description: '',
        effect: 'sideEffect' as const,
        input: {},
        output: {},
        server: server.name,
        source: { module: '', exportName: '' },
      })),
    ),
    models: [...new Set(digest.modelUse.map(({ model }) => model))].sort(),
    topics: [],
    graphs: [],
    blackboards: [],
    channels: [...edges.map((edge) => channelOf(edge, servers)), ...modelChannels(digest, holderOf)],
    entry: { kind: 'agent', agent: entry },
  };
  const draft = { workflow, components, edges, holderOf, baseline: presentLayout(components, edges) };
  return { ...draft, questions: inferQuestions(digest, draft) };
}

const isPart = (kind: InferredComponent['kind']) => kind !== 'model' && kind !== 'database' && kind !== 'queue' && kind !== 'human';

function inferEdges(
  digest: TraceDigest,
  holderOf: { readonly [traced: string]: string },
  inWorkflow: ReadonlyMap<string, InferredComponent>,
): InferredEdge[] {
  const merged = new Map<string, InferredEdge & { weight: number }>();
  for (const edge of digest.edges) {
    const [from, to] = [holderOf[edge.from], holderOf[edge.to]];
    if (from === undefined || to === undefined || from === to || !inWorkflow.has(from) || !inWorkflow.has(to)) continue;
    const channel = `${from}->${to}`;
    const known = merged.get(channel);
    merged.set(channel, {
      channel,
      from,
      to,
      kind: known?.kind === 'sync' ? 'sync' : edge.kind,
      protocol: known && known.weight >= edge.calls ? known.protocol : edge.protocol,
      inProcess: (known?.inProcess ?? true) && edge.sameInstanceShare > 0.5,
      callsPerRequest: (known?.callsPerRequest ?? 0) + edge.callsPerRequest,
      weight: Math.max(known?.weight ?? 0, edge.calls),
    });
  }
  return [...merged.values()].sort((a, b) => (a.channel < b.channel ? -1 : 1)).map(({ weight: _, ...edge }) => edge);
}

/** Turns at once are not limited by what traces show: they only say how many there were. */
const noLimit = 1_000_000;

function agentOf(component: InferredComponent, digest: TraceDigest): Agent {
  const model = digest.modelUse.find((use) => component.holds.includes(use.agent))?.model;
  return {
    name: component.name,
    kind: component.mobility === 'movable' ? (model === undefined ? 'code' : 'llm') : 'elsewhere',
    description: '',
    mobility: component.mobility,
    effect: 'sideEffect',
    input: {},
    output: {},
    concurrency: noLimit,
    streams: false,
    ...(model === undefined ? {} : { model }),
    usesSessionState: false,
    blackboards: [],
    secrets: [],
    domains: [],
    source: { module: '', exportName: '' },
  };
}

const serverOf = (component: InferredComponent): ToolServer => ({
  name: component.name,
  mobility: component.mobility,
  tools: component.holds,
  concurrency: noLimit,
  secrets: [],
  domains: [],
  source: { module: '', exportName: '' },
});

function channelOf(edge: InferredEdge, servers: readonly InferredComponent[]): Channel {
  return {
    id: edge.channel,
    kind: servers.some(({ name }) => name === edge.to) ? 'tool' : 'agent',
    from: [edge.from],
    to: [edge.to],
    patterns: [edge.kind === 'sync' ? 'request' : 'send'],
    repeatable: false,
  };
}

function modelChannels(digest: TraceDigest, holderOf: { readonly [traced: string]: string }): Channel[] {
  const pairs = new Map<string, Channel>();
  for (const { agent, model } of digest.modelUse) {
    const from = holderOf[agent];
    if (from === undefined) continue;
    const id = `${from}->model:${model}`;
    pairs.set(id, { id, kind: 'model', from: [from], to: [model], patterns: ['request'], repeatable: true });
  }
  return [...pairs.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Ids of our protocols by what the conventions call theirs; plain HTTP with JSON is the nearest to everything else. */
const ours: { readonly [traced: string]: string } = { grpc: 'grpc', a2a: 'a2a', mcp: 'mcp' };

function presentLayout(components: readonly InferredComponent[], edges: readonly InferredEdge[]): Configuration {
  const groups = new Map<string, InferredComponent[]>();
  for (const component of components) {
    if (component.mobility === 'external' || !isPart(component.kind)) continue;
    const key = component.services[0] ?? component.name;
    groups.set(key, [...(groups.get(key) ?? []), component]);
  }
  return canonicalConfiguration({
    schemaVersion: 1,
    units: [...groups.values()].map((members) => ({
      id: unitId(members.map(({ name }) => name)),
      components: members.map(({ name }) => name),
      replicas: Math.max(1, ...members.map(({ instances }) => instances)),
      resources: defaultResources,
    })),
    channels: Object.fromEntries(
      edges.map(({ channel, protocol }) => [channel, { protocol: ours[protocol ?? ''] ?? 'http-json', options: {} }]),
    ),
    serving: {},
  });
}
