import type { Agent, Effect, Problem, SourceRef, Tool, Workflow } from '../../contracts/index.ts';
import { deriveChannels } from '../../passes/channels.ts';
import { checkWorkflow } from '../../passes/check.ts';
import type { Draft } from '../../passes/draft.ts';
import type { Frontend, ReadRequest, ReadResult } from '../frontend.ts';
import { placeOfExport, placeOfName } from '../source/exports.ts';
import { importPackage } from '../source/load.ts';
import { type AgentFacts, readAgents } from './agents.ts';
import { isSdkAgent, missingFromSdk, type Sdk } from './sdk.ts';

const sdkPackage = '@openai/agents';

/**
 * The exported agent is the entry, and every agent it can reach by hand-offs or as a tool is a component. Functions
 * travel with their agents. A function says nothing of its effect, so it counts as having side effects, unless the
 * module exports `effects`: `{ look_up: 'readOnly' }`.
 */
export const openaiAgentsFrontend: Frontend = {
  detect: isSdkAgent,
  read: readApplication,
};

async function readApplication({ source: loaded, exportName, boundModels }: ReadRequest): Promise<ReadResult> {
  const entry = loaded.modules[0]?.exports[exportName];
  if (!isSdkAgent(entry)) return { workflow: undefined, problems: [] };
  const source: SourceRef = { module: loaded.modules[0]?.module ?? '', exportName };
  const at = placeOfExport(loaded, source);
  const sdk = await importPackage(loaded.folder, sdkPackage);
  const missing = missingFromSdk(sdk ?? {});
  if (missing.length > 0) {
    const message = `${sdkPackage} lacks ${missing.join(', ')}, which is needed to run its agents; 0.14 is known to work`;
    return {
      workflow: undefined,
      problems: [{ code: 'DMAS_WF_UNSUPPORTED', severity: 'error', message, at, fix: `npm i ${sdkPackage}@0.14` }],
    };
  }
  const { Runner, RunContext } = sdk as unknown as Sdk;
  const facts = await readAgents(entry, Runner, RunContext);
  const effects = loaded.modules[0]?.exports.effects;
  const tools = toolsOf(facts, effects, source);
  const agents = facts.map((each) => agentOf(each, facts, tools, source));
  const nameOf = (agent: unknown) => facts.find((each) => each.agent === agent)?.name ?? '';
  const calls = facts.flatMap(({ name, handoffs, agentTools }) =>
    [...handoffs, ...agentTools.map(({ agent }) => agent)].map((to) => ({
      from: name,
      to: nameOf(to),
      patterns: ['request', 'stream'] as const,
    })),
  );
  const nothing = { toolServers: [], topics: [], graphs: [] };
  const workflow: Workflow = {
    schemaVersion: 1,
    name: facts[0]?.name ?? '',
    frontend: 'openai-agents',
    file: loaded.file,
    agents,
    tools,
    ...nothing,
    models: [...new Set(agents.flatMap(({ model }) => model ?? []))].sort(),
    blackboards: [],
    channels: deriveChannels({ agents, tools, ...nothing, calls }),
    entry: { kind: 'agent', agent: facts[0]?.name ?? '' },
  };
  const sdkName = (name: string) => facts.find((each) => each.name === name)?.agent.name ?? name;
  const placeOf = (name: string) => placeOfName(loaded, sdkName(name));
  const draft: Draft = { workflow, references: [], placeOf, modules: loaded.modules };
  const problems = [...facts.flatMap((each) => refusals(each, placeOf)), ...checkWorkflow(draft, boundModels)];
  return { workflow: problems.some((problem) => problem.severity === 'error') ? undefined : workflow, problems };
}

function agentOf(facts: AgentFacts, all: readonly AgentFacts[], tools: readonly Tool[], source: SourceRef): Agent {
  const { name, agent, functions, model } = facts;
  return {
    name,
    kind: 'openai-agent',
    description: agent.handoffDescription || agent.name,
    mobility: 'movable',
    effect: worstEffect(facts, all, tools),
    input: {},
    output: {},
    concurrency: 64,
    streams: true,
    ...(model === undefined ? {} : { model }),
    tools: functions.map((each) => each.name),
    usesSessionState: false,
    blackboards: [],
    secrets: [],
    domains: [],
    source,
  };
}

/** Repeating an agent repeats what it and all behind it do. */
function worstEffect(facts: AgentFacts, all: readonly AgentFacts[], tools: readonly Tool[]): Effect {
  const reached = new Set([facts]);
  for (const each of reached) {
    for (const next of [...each.handoffs, ...each.agentTools.map(({ agent }) => agent)]) {
      const known = all.find((candidate) => candidate.agent === next);
      if (known !== undefined) reached.add(known);
    }
  }
  const used = new Set([...reached].flatMap(({ functions }) => functions.map(({ name }) => name)));
  return tools.some((tool) => used.has(tool.name) && tool.effect === 'sideEffect') ? 'sideEffect' : 'idempotent';
}

const effectNames: readonly Effect[] = ['readOnly', 'idempotent', 'sideEffect'];

function toolsOf(facts: readonly AgentFacts[], effects: unknown, source: SourceRef): readonly Tool[] {
  const declared = typeof effects === 'object' && effects !== null ? (effects as { readonly [tool: string]: unknown }) : {};
  const functions = new Map(facts.flatMap((each) => each.functions.map(({ name, tool }) => [name, tool] as const)));
  return [...functions].map(([name, tool]) => ({
    name,
    description: tool.description ?? name,
    effect: effectNames.find((known) => known === declared[name]) ?? 'sideEffect',
    input: (tool.parameters ?? {}) as Tool['input'],
    output: (tool.outputSchema ?? {}) as Tool['output'],
    source,
  }));
}

function refusals({ name, agent, model, refused }: AgentFacts, placeOf: (name: string) => Problem['at']): readonly Problem[] {
  const at = placeOf(name);
  const place = at === undefined ? {} : { at };
  const errors = refused.map(
    (why): Problem => ({
      code: 'DMAS_WF_UNSUPPORTED',
      severity: 'error',
      message: `the agent "${agent.name}" cannot be run here: ${why}`,
      ...place,
      fix: 'replace it by a function tool, or leave this agent where it is and give its address under agents',
    }),
  );
  if (model !== undefined) return errors;
  const message = `the agent "${agent.name}" brings a model of its own: no scenario can bind it, and what it does is only timed`;
  return [
    ...errors,
    { code: 'DMAS_WF_UNSUPPORTED', severity: 'warning', message, ...place, fix: 'name the model instead, and bind it under models' },
  ];
}
