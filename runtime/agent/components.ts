import type { CodeAgent } from '../../compiler/api/definitions.ts';
import { brand } from '../../compiler/api/definitions.ts';
import { type AgentHandler, agentComponent } from './agent-turn.ts';
import { createContext, type Declared } from './context.ts';
import type { Component } from './dispatch.ts';
import { graphHandler } from './graph-runs.ts';
import { llmHandler } from './llm-agent.ts';
import { type AgentPart, agentParts, declaredServers, declaredTools, toolParts, type UnitProgram } from './program.ts';
import type { Runtime } from './runtime.ts';
import { toolServerComponent } from './tools.ts';

/** Everything of this unit that takes messages. The runtime is handed in late, because it holds what is made here. */
export function componentsOf(program: UnitProgram, runtime: () => Runtime): Component[] {
  const agents = agentParts(program).map((part) => agentComponent(runtime, part.ref, part.options.concurrency, handlerOf(part, runtime)));
  const tools = toolParts(program);
  const hosted = new Set(program.unit.toolServers);
  const servers = program.toolServers
    .filter((server) => hosted.has(server.name))
    .map((server) => toolServerComponent(runtime, server, tools));
  const components = [...agents, ...servers];
  const present = new Set(components.map((component) => component.name));
  const lost = [...program.unit.agents, ...program.unit.toolServers].filter((name) => !present.has(name));
  if (lost.length > 0) throw new RangeError(`unit ${program.unit.id} has no implementation of ${lost.join(', ')}`);
  return components;
}

function handlerOf(part: AgentPart, runtime: () => Runtime): AgentHandler {
  if (part[brand] === 'llm-agent') return llmHandler(runtime, part);
  if (part[brand] === 'graph-agent') return graphHandler(runtime, part);
  if (part[brand] === 'framework-agent') return part.handler(runtime);
  const declared = declaredBy(part);
  return (input, turn) => part.handle(input as never, createContext(runtime(), part.ref.name, declared, turn) as never);
}

function declaredBy(part: CodeAgent): Declared {
  const { options } = part;
  const names = (list: readonly { readonly name: string }[] | undefined) => new Set((list ?? []).map(({ name }) => name));
  return {
    calls: names(options.calls),
    tools: names(declaredTools(part)),
    toolServers: names(declaredServers(part)),
    publishes: names(options.publishes),
    blackboards: names(options.blackboards),
    session: options.usesSession === true,
  };
}
