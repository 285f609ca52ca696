import type { CodeAgent } from '../../compiler/api/definitions.ts';
import type { AgentHandler } from './agent-turn.ts';
import type { AgentPart } from './program.ts';
import type { Runtime } from './runtime.ts';

/**
 * An agent of our own, adapting somebody else's framework: it works on the turn itself, with hops and streams, instead of
 * on the context that users' handlers get.
 */
export interface InsideAgent extends CodeAgent {
  /** Called once, when the unit is put together. The runtime is complete when the first turn comes. */
  readonly inside: (runtime: () => Runtime) => AgentHandler;
}

export const isInsideAgent = (part: AgentPart): part is InsideAgent => 'inside' in part;
