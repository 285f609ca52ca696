import { basename } from 'node:path';
import { issuesToProblems } from '../../../scenarios/issues.ts';
import { parseSource, type SourceDocument } from '../../../scenarios/source.ts';
import type { Agent, JsonSchema, Pattern, Problem, Tool, ToolServer, Workflow } from '../../contracts/index.ts';
import { deriveChannels } from '../../passes/channels.ts';
import { checkWorkflow } from '../../passes/check.ts';
import type { Draft, Reference } from '../../passes/draft.ts';
import type { Frontend, ReadRequest, ReadResult } from '../frontend.ts';
import type { LoadedSource } from '../source/load.ts';
import { type DeclaredWorkflow, declaredSchema } from './schema.ts';

const exportName = 'default';
const marker = Symbol('declared workflow file');

/** A YAML file as the module it stands for: one export, which only this frontend knows. */
export function textSource(file: string, folder: string, text: string): LoadedSource {
  return { file, folder, modules: [{ path: file, module: basename(file), exports: { [exportName]: { [marker]: true } }, text }] };
}

export const declaredFrontend: Frontend = {
  detect: (value) => typeof value === 'object' && value !== null && marker in value,
  read: async (request) => readDeclared(request),
};

function readDeclared({ source, boundModels }: ReadRequest): ReadResult {
  const { file } = source;
  const document = parseSource(file, source.modules[0]?.text ?? '', (value) => ({ value }));
  if (document.problems.length > 0) return { workflow: undefined, problems: document.problems };
  const { value } = document;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const message = 'a workflow file is a mapping with at least agents and entry';
    return { workflow: undefined, problems: [{ code: 'DMAS_CFG_SYNTAX', severity: 'error', message, at: { file, line: 1, column: 1 } }] };
  }
  const parsed = declaredSchema.safeParse(value);
  if (!parsed.success) return { workflow: undefined, problems: issuesToProblems(parsed.error.issues, document, file, declaredSchema) };
  const workflow = workflowOf(parsed.data, source);
  const draft: Draft = {
    workflow,
    references: referencesOf(parsed.data),
    placeOf: (name) => placeOf(document, file, parsed.data, name),
    // Nothing of it is code.
    modules: [],
  };
  const problems: readonly Problem[] = checkWorkflow(draft, boundModels);
  return { workflow: problems.some(({ severity }) => severity === 'error') ? undefined : workflow, problems };
}

function workflowOf(declared: DeclaredWorkflow, { file, folder }: LoadedSource): Workflow {
  const sourceOf = (name: string) => ({ module: basename(file), exportName: name });
  const schemaOf = (schema: { readonly [key: string]: unknown }) => schema as JsonSchema;
  const agents = Object.entries(declared.agents).map(
    ([name, agent]): Agent => ({
      name,
      kind: 'elsewhere',
      description: agent.description ?? name,
      mobility: 'replicasOnly',
      effect: agent.effect,
      input: schemaOf(agent.input),
      output: schemaOf(agent.output),
      concurrency: agent.concurrency,
      streams: agent.streams,
      usesSessionState: agent.usesSession,
      tools: agent.tools,
      blackboards: [],
      secrets: [],
      domains: agent.domains,
      ...(agent.hosts === undefined ? {} : { hosts: agent.hosts }),
      elsewhere: { speaks: agent.speaks, options: agent.options },
      source: sourceOf(name),
    }),
  );
  const toolServers = Object.entries(declared.toolServers).map(
    ([name, server]): ToolServer => ({
      name,
      mobility: 'replicasOnly',
      tools: Object.keys(server.tools),
      concurrency: server.concurrency,
      secrets: [],
      domains: server.domains,
      ...(server.hosts === undefined ? {} : { hosts: server.hosts }),
      elsewhere: { speaks: server.speaks, options: server.options },
      ...(server.discovers ? { discovers: true } : {}),
      source: sourceOf(name),
    }),
  );
  const tools = Object.entries(declared.toolServers).flatMap(([server, { tools: listed }]) =>
    Object.entries(listed).map(
      ([name, tool]): Tool => ({
        name,
        description: tool.description ?? name,
        effect: tool.effect,
        input: schemaOf(tool.input),
        output: schemaOf(tool.output),
        server,
        ...(tool.hosts === undefined ? {} : { hosts: tool.hosts }),
        source: sourceOf(server),
      }),
    ),
  );
  const patterns: readonly Pattern[] = ['request', 'stream'];
  const calls = Object.entries(declared.agents).flatMap(([from, agent]) => agent.calls.map((to) => ({ from, to, patterns })));
  return {
    schemaVersion: 1,
    name: declared.name ?? nameOfFolder(folder),
    frontend: 'declared',
    file,
    agents,
    toolServers,
    tools,
    models: [],
    topics: [],
    graphs: [],
    blackboards: [],
    channels: deriveChannels({ agents, toolServers, tools, topics: [], graphs: [], calls }),
    entry: { kind: 'agent', agent: declared.entry },
  };
}

const nameOfFolder = (folder: string): string =>
  basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-') || 'application';

function referencesOf(declared: DeclaredWorkflow): readonly Reference[] {
  return Object.entries(declared.agents).flatMap(([from, agent]): Reference[] => [
    ...agent.calls.map((to) => ({ from, to, what: 'agent' as const })),
    ...agent.tools.map((to) => ({ from, to, what: 'tool' as const })),
  ]);
}

/** The key under which something of this name is listed; the entry for a name that is listed nowhere. */
function placeOf(document: SourceDocument, file: string, declared: DeclaredWorkflow, name: string) {
  for (const kind of ['agents', 'toolServers'] as const) {
    if (Object.hasOwn(declared[kind], name)) return { file, ...document.keyAt([kind, name]) };
  }
  const server = Object.entries(declared.toolServers).find(([, { tools }]) => Object.hasOwn(tools, name));
  if (server !== undefined) return { file, ...document.keyAt(['toolServers', server[0], 'tools', name]) };
  return { file, ...document.keyAt(['entry']) };
}
