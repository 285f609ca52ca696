import { z } from 'zod';
import { tableOf, tableShares } from './quantile-table.ts';
import { type AgentSession, compactedBelow, type SessionTurn } from './session-log.ts';

const table = z.array(z.number()).length(tableShares.length).readonly();
const shareOf = z.number().min(0).max(1);

/** What differs from session to session, in the order of `correlation`. */
export const sessionQuantities = ['turns', 'firstTokens', 'newTokens'] as const;
export type SessionQuantity = (typeof sessionQuantities)[number];

/**
 * What sessions are like, in a few hundred numbers and without a word of what was said in them: distributions as quantile
 * tables (at `tableShares`).
 */
export const sessionFitSchema = z.strictObject({
  schemaVersion: z.literal(1),
  kind: z.literal('agent-sessions'),
  source: z.string(),
  observed: z.strictObject({ sessions: z.int(), turns: z.int(), subagents: z.int() }),
  /** Per session: number of turns, first prompt, and what the prompt grows by per turn beside the last reply (mean). */
  session: z.strictObject({ turns: table, firstTokens: table, newTokens: table }),
  /** Rank correlations of those (Spearman). */
  correlation: z.array(z.array(z.number().min(-1).max(1)).length(sessionQuantities.length)).length(sessionQuantities.length),
  /** Tokens of system prompt and tools. */
  sharedTokens: table,
  /** Per turn: growth over the mean growth of its session, reply, time a tool took. */
  turn: z.strictObject({ newTokens: table, tokensOut: table, toolMs: table }),
  /** Share of turns a person writes, and how long that takes. */
  user: z.strictObject({ share: shareOf, thinkMs: table }),
  /**
   * When the context is compacted: when it would outgrow `atTokens` (`mostTokens` in a session that begins beyond that),
   * and before that share of the other turns; and what is left of it then.
   */
  compaction: z.strictObject({ atTokens: z.number().positive(), mostTokens: z.number().positive(), share: shareOf, left: table }),
  /** Share of other turns that begin with a rewritten prefix. */
  rewriteShare: shareOf,
  /** Share of turns that start any, how many at once, calls of each, its first prompt, growth and replies. */
  subagents: z.strictObject({ share: shareOf, count: table, steps: table, firstTokens: table, newTokens: table, tokensOut: table }),
});
export type SessionFit = z.output<typeof sessionFitSchema>;

/** Fewer sessions say little of what differs between sessions: the 5th and 95th percentile rest on one of them. */
export const fewestSessions = 20;

/** A compaction below this share of the usual limit was not forced by it. */
const earlyBelow = 0.85;

/** Throws a RangeError when there are too few sessions to say anything. */
export function fitSessions(sessions: readonly AgentSession[], source: string): SessionFit {
  const long = sessions.filter((session) => session.turns.length >= 2);
  if (long.length < fewestSessions)
    throw new RangeError(`${long.length} sessions of two turns or more are too few to fit: at least ${fewestSessions} are needed`);
  const observed = long.map(observe);
  const all = <T>(of: (one: Observed) => readonly T[]) => observed.flatMap(of);
  const quantities: { readonly [quantity in SessionQuantity]: number[] } = {
    turns: long.map((session) => session.turns.length),
    firstTokens: long.map((session) => session.turns[0]?.tokensIn ?? 0),
    newTokens: observed.map((one) => mean(one.newTokens)),
  };
  const followUps = long.reduce((sum, session) => sum + session.turns.length - 1, 0);
  const compactions = all((one) => one.compactions);
  // Nine of ten compactions come before it; the last tenth are those of larger windows.
  const sorted = compactions.map(({ fromTokens }) => fromTokens).sort((a, b) => a - b);
  const mostTokens = Math.max(...long.flatMap((session) => session.turns.map((turn) => turn.tokensIn)));
  const atTokens = sorted[Math.floor(0.9 * sorted.length)] ?? mostTokens;
  // What the limit forces comes close to it.
  const early = sorted.filter((tokens) => tokens < earlyBelow * atTokens).length;
  const turns = long.flatMap((session) => session.turns);
  const fans = turns.flatMap((turn) => (turn.subagents.length > 0 ? [turn.subagents.length] : []));
  const steps = turns.flatMap((turn) => turn.subagents.map((subagent) => subagent.steps)).filter((list) => list.length > 0);
  const userMs = all((one) => one.userMs);
  return {
    schemaVersion: 1,
    kind: 'agent-sessions',
    source,
    observed: { sessions: long.length, turns: turns.length, subagents: steps.length },
    session: {
      turns: tableOf(quantities.turns),
      firstTokens: tableOf(quantities.firstTokens),
      newTokens: tableOf(quantities.newTokens),
    },
    correlation: sessionQuantities.map((a) => sessionQuantities.map((b) => rounded(a === b ? 1 : spearman(quantities[a], quantities[b])))),
    sharedTokens: tableOf(long.map((session) => session.sharedTokens)),
    turn: {
      newTokens: tableOf(all(({ newTokens }) => newTokens.map((tokens) => tokens / mean(newTokens)))),
      tokensOut: tableOf(all((one) => one.tokensOut)),
      toolMs: tableOf(all((one) => one.toolMs)),
    },
    user: { share: rounded(userMs.length / followUps), thinkMs: tableOf(userMs) },
    compaction: {
      atTokens,
      mostTokens,
      share: rounded(early / followUps),
      left: tableOf(compactions.map(({ left }) => left)),
    },
    rewriteShare: rounded(all((one) => one.rewrites).length / followUps),
    subagents: {
      share: rounded(fans.length / turns.length),
      count: tableOf(fans),
      steps: tableOf(steps.map((list) => list.length)),
      firstTokens: tableOf(steps.map((list) => list[0]?.tokensIn ?? 0)),
      newTokens: tableOf(
        steps.flatMap((list) => list.slice(1).map((step, i) => step.tokensIn - (list[i]?.tokensIn ?? 0) - (list[i]?.tokensOut ?? 0))),
      ),
      tokensOut: tableOf(steps.flatMap((list) => list.map((step) => step.tokensOut))),
    },
  };
}

/** What the turns of one session show. */
export interface Observed {
  readonly newTokens: readonly number[];
  readonly tokensOut: readonly number[];
  readonly toolMs: readonly number[];
  readonly userMs: readonly number[];
  /** Context before each compaction, and the share of it that was left. */
  readonly compactions: readonly { readonly fromTokens: number; readonly left: number }[];
  /** Other turns whose prefix was rewritten. */
  readonly rewrites: readonly SessionTurn[];
}

export function observe({ turns }: AgentSession): Observed {
  const pairs = turns.slice(1).map((turn, i) => ({ turn, before: turns[i] as SessionTurn }));
  const compacted = pairs.filter(({ turn, before }) => turn.tokensIn < compactedBelow * before.tokensIn);
  const grown = pairs.filter((pair) => !compacted.includes(pair));
  return {
    newTokens: grown.map(({ turn, before }) => Math.max(0, turn.tokensIn - before.tokensIn - before.tokensOut)),
    tokensOut: turns.map((turn) => turn.tokensOut),
    toolMs: pairs.filter(({ turn }) => !turn.byUser).map(({ turn }) => turn.thinkMs),
    userMs: pairs.filter(({ turn }) => turn.byUser).map(({ turn }) => turn.thinkMs),
    compactions: compacted.map(({ turn, before }) => ({ fromTokens: before.tokensIn, left: turn.tokensIn / before.tokensIn })),
    rewrites: grown.filter(({ turn, before }) => turn.epoch > before.epoch).map(({ turn }) => turn),
  };
}

const rounded = (value: number) => Number(value.toFixed(5));

/** At least 1, as it is what other values are divided by. */
const mean = (values: readonly number[]): number => Math.max(1, values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length));

/** Rank correlation (Spearman 1904); equal values take ranks in order of appearance. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  const [a, b] = [ranks(x), ranks(y)];
  const middle = (a.length - 1) / 2;
  const product = (p: Float64Array, q: Float64Array) =>
    p.reduce((sum, value, i) => sum + (value - middle) * ((q[i] as number) - middle), 0);
  return a.length < 2 ? 0 : product(a, b) / Math.sqrt(product(a, a) * product(b, b));
}

function ranks(values: readonly number[]): Float64Array {
  const rank = new Float64Array(values.length);
  [...values.keys()]
    .sort((i, j) => (values[i] as number) - (values[j] as number) || i - j)
    .forEach((at, place) => {
      rank[at] = place;
    });
  return rank;
}
