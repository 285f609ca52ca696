import type { Agent, Channel, Graph, Pattern, Tool, ToolServer, Topic } from '../contracts/index.ts';

export interface ChannelSources {
  readonly agents: readonly Agent[];
  readonly toolServers: readonly ToolServer[];
  readonly tools: readonly Tool[];
  readonly topics: readonly Topic[];
  readonly graphs: readonly Graph[];
  /** Who calls whom by name: `calls` of a code agent, sub-agents of an llm agent. */
  readonly calls: readonly { readonly from: string; readonly to: string; readonly patterns: readonly Pattern[] }[];
}

/**
 * Every relation over which messages go, sorted by id. A graph gives channels from the graph agent to its start and
 * along its edges, since state travels node to node. Local tools need none.
 */
export function deriveChannels(sources: ChannelSources): readonly Channel[] {
  const channels = new Map<string, Channel>();
  const components = new Set([...sources.agents, ...sources.toolServers].map((component) => component.name));
  const add = (channel: Channel) => {
    const known = channels.get(channel.id);
    const patterns =
      known === undefined ? channel.patterns : patternOrder.filter((p) => [...known.patterns, ...channel.patterns].includes(p));
    channels.set(channel.id, { ...channel, patterns });
  };
  const connect = (from: string, to: string, patterns: readonly Pattern[]) => {
    const callee = sources.agents.find((agent) => agent.name === to);
    if (callee === undefined || !components.has(from)) return;
    const allowed = patterns.filter((pattern) => pattern !== 'stream' || callee.streams);
    const repeatable = callee.effect !== 'sideEffect';
    add({ id: `${from}->${to}`, kind: 'agent', from: [from], to: [to], patterns: allowed, repeatable });
  };
  for (const { from, to, patterns } of sources.calls) connect(from, to, patterns);
  for (const graph of sources.graphs) {
    connect(graph.agent, graph.start, ['request']);
    for (const edge of graph.edges) for (const from of edge.from) for (const to of edge.to) connect(from, to, ['request']);
  }
  for (const agent of sources.agents) {
    for (const server of sources.toolServers) {
      const used = sources.tools.filter((tool) => tool.server === server.name && (agent.tools ?? []).includes(tool.name));
      const whole = (agent.toolServers ?? []).includes(server.name);
      if (used.length === 0 && !whole) continue;
      // What a tool that is not known yet does when it is repeated is not known either.
      const repeatable = !(whole && server.discovers === true) && used.every((tool) => tool.effect !== 'sideEffect');
      add({ id: `${agent.name}->${server.name}`, kind: 'tool', from: [agent.name], to: [server.name], patterns: ['request'], repeatable });
    }
    if (agent.model !== undefined) {
      const id = `${agent.name}->model:${agent.model}`;
      add({ id, kind: 'model', from: [agent.name], to: [agent.model], patterns: ['request', 'stream'], repeatable: true });
    }
  }
  for (const topic of sources.topics) {
    const repeatable = topic.subscribers.every((name) => sources.agents.find((agent) => agent.name === name)?.effect !== 'sideEffect');
    const { publishers: from, subscribers: to } = topic;
    add({ id: `topic:${topic.name}`, kind: 'topic', from, to, patterns: ['publish'], repeatable });
  }
  return [...channels.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

const patternOrder: readonly Pattern[] = ['request', 'stream', 'send', 'publish'];
