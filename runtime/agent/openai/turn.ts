import type { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { AgentTurn } from '../agent-turn.ts';
import type { Runtime } from '../runtime.ts';
import type { Scope } from '../scope.ts';
import type { PassedBack } from './models.ts';

/** The SDK's own default of `maxTurns`. */
export const defaultMaxTurns = 10;

/** One run of one agent, and what its models and tools have in common. */
export interface SdkTurn {
  readonly component: string;
  readonly runtime: Runtime;
  readonly context: unknown;
  /** The request at this moment: inside a span of the user's own where there is one. */
  scope(): Scope;
  /** Text for the user, where they asked for a stream. */
  readonly emit: ((text: string) => void) | undefined;
  /** Counts a turn. Throws where the request has ended although the SDK's loop goes on. */
  begin(): void;
  /** Turns the conversation may still take, the present one included. */
  turnsLeft(): number;
  /** The reply of the agent the conversation was handed to. */
  taken: PassedBack | undefined;
  /** What ended the request, where the SDK would go on with it as a tool's result. */
  ended: CallError | undefined;
}

export function openTurn(component: string, runtime: Runtime, turn: AgentTurn, context: unknown, maxTurns: number): SdkTurn {
  let turns = 0;
  const opened: SdkTurn = {
    component,
    runtime,
    context,
    scope: () => ({ ...turn.scope, trace: runtime.tracing.here(turn.scope.trace) }),
    emit: turn.emit,
    begin: () => {
      if (opened.ended !== undefined) throw opened.ended;
      turns++;
    },
    turnsLeft: () => Math.max(1, maxTurns - turns + 1),
    taken: undefined,
    ended: undefined,
  };
  return opened;
}
