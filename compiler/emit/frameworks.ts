import type { Agent, PlannedUnit, Workflow } from '../contracts/index.ts';
import type { Imports } from './imports.ts';
import { langgraphFramework } from './langgraph-parts.ts';
import { openaiAgentsFramework } from './openai-agents-parts.ts';

/** How a unit's program holds agents that are made of a framework's own values. What it gives are expressions. */
export interface Framework {
  /** The agents of one unit, in the workflow's order. */
  readonly parts: (unit: PlannedUnit, workflow: Workflow, imports: Imports) => readonly string[];
  /** The contract of the entry agent. */
  readonly entry: (agent: Agent, imports: Imports) => string;
  /** Literals for the placeholders in its parts, by name. */
  readonly values?: (unit: PlannedUnit) => { readonly [placeholder: string]: string };
}

/** By frontend; the agents of the other frontends are exported one by one. */
export const frameworks: { readonly [frontend: string]: Framework | undefined } = {
  langgraph: langgraphFramework,
  'openai-agents': openaiAgentsFramework,
};
