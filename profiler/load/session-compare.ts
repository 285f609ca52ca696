import { ksDistance2 } from './distributions.ts';
import { observe } from './session-fit.ts';
import type { AgentSession } from './session-log.ts';

/** What sessions are compared by, in words; the first ones were fitted, the last ones follow from them. */
const quantities: readonly (readonly [name: string, of: (session: AgentSession) => readonly number[]])[] = [
  ['turns of a session', ({ turns }) => [turns.length]],
  ['first prompt (tokens)', ({ turns }) => [turns[0]?.tokensIn ?? 0]],
  ['growth per turn (tokens)', (session) => observe(session).newTokens],
  ['reply (tokens)', ({ turns }) => turns.map((turn) => turn.tokensOut)],
  ['time a tool took (ms)', (session) => observe(session).toolMs],
  ['time a person took (ms)', (session) => observe(session).userMs],
  ['every prompt (tokens)', ({ turns }) => turns.map((turn) => turn.tokensIn)],
  ['share of a prompt seen before', cachedShares],
  ['growth of a session (tokens)', ({ turns }) => [(turns.at(-1)?.tokensIn ?? 0) - (turns[0]?.tokensIn ?? 0)]],
  ['replies of a session (tokens)', ({ turns }) => [turns.reduce((sum, turn) => sum + turn.tokensOut, 0)]],
];

/** Leading share of each prompt after the first that the one before already held. */
function cachedShares({ turns, sharedTokens }: AgentSession): number[] {
  return turns.slice(1).map((turn, i) => {
    const before = turns[i];
    if (before === undefined || turn.tokensIn <= 0) return 0;
    return (turn.epoch > before.epoch ? Math.min(sharedTokens, turn.tokensIn) : Math.min(before.tokensIn, turn.tokensIn)) / turn.tokensIn;
  });
}

export interface Compared {
  readonly quantity: string;
  readonly ksDistance: number;
  readonly p50: readonly [recorded: number, drawn: number];
  readonly p95: readonly [recorded: number, drawn: number];
}

/** How far drawn sessions are from recorded ones, quantity by quantity. */
export function compareSessions(recorded: readonly AgentSession[], drawn: readonly AgentSession[]): Compared[] {
  return quantities.map(([quantity, of]) => {
    const [a, b] = [recorded.flatMap(of), drawn.flatMap(of)];
    return { quantity, ksDistance: ksDistance2(a, b), p50: [at(a, 0.5), at(b, 0.5)], p95: [at(a, 0.95), at(b, 0.95)] };
  });
}

function at(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.round(share * (sorted.length - 1))] ?? 0;
}
