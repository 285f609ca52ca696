import { z } from 'zod';
import {
  brand,
  type ElsewhereSpoken,
  type PlacementHints,
  type ToolRef,
  type ToolServerDefinition,
  type TopicRef,
  type WorkflowDefinition,
} from '../../api/definitions.ts';
import type {
  Agent,
  Elsewhere,
  Entry,
  JsonSchema,
  Pattern,
  Problem,
  SourceRef,
  Tool,
  ToolServer,
  Topic,
  Workflow,
} from '../../contracts/index.ts';
import { deriveChannels } from '../../passes/channels.ts';
import { checkWorkflow } from '../../passes/check.ts';
import type { Draft, Reference } from '../../passes/draft.ts';
import type { Frontend, ReadRequest, ReadResult } from '../frontend.ts';
import { findExport, placeOfExport, placeOfName } from '../source/exports.ts';
import { type AgentPart, isAgent, isElsewhere, isGraph, isTool, isToolServer, isWorkflow, topicsIn } from './definitions.ts';
import { readGraph } from './graph.ts';

/** Turns at a time when an agent does not say (documented in the API). */
const defaultConcurrency = 64;

export const typescriptFrontend: Frontend = {
  detect: isWorkflow,
  read: async (request) => readDefinition(request),
};

function readDefinition(request: ReadRequest): ReadResult {
  const definition = request.source.modules[0]?.exports[request.exportName];
  if (!isWorkflow(definition)) return { workflow: undefined, problems: [] };
  const reader = new Reader(request);
  const workflow = reader.read(definition);
  const draft: Draft = {
    workflow,
    references: referencesOf(definition),
    placeOf: (name) => reader.placeOf(name),
    modules: request.source.modules,
  };
  const problems = [...reader.problems, ...checkWorkflow(draft, request.boundModels)];
  return { workflow: problems.some((problem) => problem.severity === 'error') ? undefined : workflow, problems };
}

/** Collects the problems of reading one definition while it turns it into plain data. */
class Reader {
  readonly problems: Problem[] = [];
  readonly #request: ReadRequest;
  readonly #sources = new Map<string, SourceRef>();

  constructor(request: ReadRequest) {
    this.#request = request;
  }

  placeOf(name: string) {
    const ref = this.#sources.get(name);
    return ref === undefined ? placeOfName(this.#request.source, name) : placeOfExport(this.#request.source, ref);
  }

  read(definition: WorkflowDefinition): Workflow {
    const { source } = this.#request;
    const parts = definition.parts;
    const agents = parts.filter(isAgent).map((part) => this.#agent(part));
    const toolServers = parts.filter(isToolServer).map((part): ToolServer => {
      const tools = part.tools.map((tool) => tool.name);
      const foreign = part.elsewhere === undefined ? {} : { elsewhere: spoken(part.elsewhere), mobility: 'replicasOnly' as const };
      return {
        name: part.name,
        tools,
        ...hints(part.options),
        ...foreign,
        ...(part.discovers === true ? { discovers: true } : {}),
        source: this.#source(part, 'tool server', part.name),
      };
    });
    // Somebody else implements these: the contracts of the server's tools are all there is.
    const foreignTools = parts
      .filter(isToolServer)
      .flatMap((part) => (part.elsewhere === undefined ? [] : part.tools.map((ref) => ({ part, ref }))));
    const tools = [
      ...parts.filter(isTool).map((part): Tool => {
        const server = toolServers.find((candidate) => candidate.tools.includes(part.ref.name));
        return this.#tool(part.ref, server?.name, this.#source(part, 'tool', part.ref.name));
      }),
      ...foreignTools.map(({ part, ref }): Tool => this.#tool(ref, part.name, this.#source(part, 'tool server', part.name))),
    ];
    const topics = topicsIn(definition).map((topic) => this.#topic(topic, definition));
    const graphs = parts.filter(isGraph).map(readGraph);
    const models = [...new Set(agents.flatMap((agent) => agent.model ?? []))].sort();
    const entry: Entry =
      'publish' in definition.entry
        ? { kind: 'topic', publish: definition.entry.publish.name, complete: definition.entry.complete.name }
        : { kind: 'agent', agent: definition.entry.name };
    return {
      schemaVersion: 1,
      name: definition.name,
      frontend: 'typescript',
      file: source.file,
      agents,
      toolServers,
      tools,
      models,
      topics,
      graphs,
      blackboards: [...new Set(agents.flatMap((agent) => agent.blackboards))].sort(),
      channels: deriveChannels({ agents, toolServers, tools, topics, graphs, calls: callsOf(definition) }),
      entry,
    };
  }

  #tool(ref: ToolRef, server: string | undefined, source: SourceRef): Tool {
    return {
      name: ref.name,
      description: ref.description,
      effect: ref.effect,
      input: this.#schema(ref.input, `the input of tool "${ref.name}"`, ref.name),
      output: this.#schema(ref.output, `the output of tool "${ref.name}"`, ref.name),
      ...(server === undefined ? {} : { server }),
      ...(ref.hosts === undefined || ref.hosts.length === 0 ? {} : { hosts: ref.hosts }),
      source,
    };
  }

  #agent(part: AgentPart): Agent {
    const { ref, options } = part;
    const code = part[brand] === 'code-agent' || part[brand] === 'elsewhere-agent' ? part.options : {};
    const { blackboards = [] } = part[brand] === 'code-agent' ? part.options : {};
    const llm = part[brand] === 'llm-agent' ? part.options : undefined;
    const servers = usedServers(part);
    return {
      name: ref.name,
      kind: kinds[part[brand]],
      description: ref.description,
      effect: ref.effect,
      input: this.#schema(ref.input, `the input of agent "${ref.name}"`, ref.name),
      output: this.#schema(ref.output, `the output of agent "${ref.name}"`, ref.name),
      // A model's text can always be passed on as it comes.
      streams: ref.chunk !== undefined || llm !== undefined,
      ...(llm === undefined ? {} : { model: llm.model }),
      usesSessionState: code.usesSession ?? llm?.remembers ?? false,
      tools: usedTools(part).map((tool) => tool.name),
      ...(servers.length === 0 ? {} : { toolServers: servers.map((server) => server.name) }),
      blackboards: blackboards.map((board) => board.name),
      ...hints(options),
      ...(isElsewhere(part) ? { mobility: 'replicasOnly', elsewhere: spoken(part.options) } : {}),
      source: this.#source(part, 'agent', ref.name),
    };
  }

  #topic(topic: TopicRef, { parts }: WorkflowDefinition): Topic {
    const naming = (list: 'publishes' | 'subscribes') =>
      parts.flatMap((part) =>
        part[brand] === 'code-agent' && (part.options[list] ?? []).some((candidate) => candidate.name === topic.name) ? part.ref.name : [],
      );
    return {
      name: topic.name,
      message: this.#schema(topic.message, `the messages of topic "${topic.name}"`, topic.name),
      delivery: topic.delivery,
      publishers: naming('publishes'),
      subscribers: naming('subscribes'),
      source: this.#source(topic, 'topic', topic.name),
    };
  }

  #source(value: unknown, what: string, name: string): SourceRef {
    const { source } = this.#request;
    const found = findExport(source, value);
    if (found !== undefined) {
      if (!this.#sources.has(name)) this.#sources.set(name, found);
      return found;
    }
    const message = `${what} "${name}" is not exported from its module, so it cannot be placed alone`;
    this.problems.push({
      code: 'DMAS_WF_NOT_EXPORTED',
      severity: 'error',
      message,
      at: placeOfName(source, name),
      fix: 'export it as a const',
    });
    return { module: source.modules[0]?.module ?? '', exportName: '' };
  }

  #schema(schema: unknown, what: string, name: string): JsonSchema {
    try {
      const options = { io: 'input', target: 'draft-2020-12', unrepresentable: 'any' } as const;
      const { $schema: _, ...json } = z.toJSONSchema(schema as z.ZodType, options);
      return json as JsonSchema;
    } catch (error) {
      const message = `${what} cannot be written as a JSON schema: ${error instanceof Error ? error.message : String(error)}`;
      const fix = 'use a schema of zod 4, for example with the z that dmas-opt exports';
      this.problems.push({ code: 'DMAS_WF_LOAD', severity: 'error', message, at: placeOfName(this.#request.source, name), fix });
      return {};
    }
  }
}

const kinds = { 'code-agent': 'code', 'llm-agent': 'llm', 'graph-agent': 'graph', 'elsewhere-agent': 'elsewhere' } as const;

/** Spoken by default: what any HTTP server can answer. */
const spoken = ({ speaks = 'http-json', options = {} }: ElsewhereSpoken): Elsewhere => ({ speaks, options });

function hints(options: PlacementHints) {
  const { concurrency = defaultConcurrency, secrets = [], domains = [], hosts = [], mobility = 'movable' } = options;
  return { mobility, concurrency, secrets, domains, ...(hosts.length === 0 ? {} : { hosts }) };
}

const usedServers = (part: AgentPart): readonly ToolServerDefinition[] =>
  part[brand] === 'llm-agent' || part[brand] === 'code-agent' ? (part.options.toolServers ?? []) : [];

/** By name, or as one of a server that is used as it is. */
function usedTools(part: AgentPart): readonly ToolRef[] {
  const named = part[brand] === 'graph-agent' ? [] : (part.options.tools ?? []);
  return [...new Set([...named, ...usedServers(part).flatMap((server) => server.tools)])];
}

function callsOf({ parts }: WorkflowDefinition) {
  const any: readonly Pattern[] = ['request', 'stream', 'send'];
  return parts.flatMap((part) => {
    if (part[brand] === 'code-agent') return (part.options.calls ?? []).map(({ name: to }) => ({ from: part.ref.name, to, patterns: any }));
    if (part[brand] === 'elsewhere-agent') {
      return (part.options.calls ?? []).map(({ name: to }) => ({ from: part.ref.name, to, patterns: ['request', 'stream'] as const }));
    }
    if (part[brand] !== 'llm-agent') return [];
    return (part.options.agents ?? []).map(({ name: to }) => ({ from: part.ref.name, to, patterns: ['request'] as const }));
  });
}

function referencesOf({ parts }: WorkflowDefinition): readonly Reference[] {
  return parts.flatMap((part): Reference[] => {
    const refer = (from: string, what: Reference['what'], refs: readonly { readonly name: string }[] = []) =>
      refs.map(({ name: to }) => ({ from, to, what }));
    const toolsOf = (agent: AgentPart) => [
      ...refer(agent.ref.name, 'tool', usedTools(agent)),
      ...refer(agent.ref.name, 'tool server', usedServers(agent)),
    ];
    if (isToolServer(part)) return refer(part.name, 'tool', part.tools);
    if (isGraph(part)) return refer(part.ref.name, 'agent', part.options.nodes);
    if (part[brand] === 'code-agent' || part[brand] === 'elsewhere-agent') {
      return [...refer(part.ref.name, 'agent', part.options.calls), ...toolsOf(part)];
    }
    if (part[brand] !== 'llm-agent') return [];
    return [...refer(part.ref.name, 'agent', part.options.agents), ...toolsOf(part)];
  });
}
