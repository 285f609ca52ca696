/** One request of an agent session: what its prompt and reply are like, and when it comes. */
export interface SessionTurn {
  /** From the answer to the turn before; 0 for the first. */
  readonly thinkMs: number;
  /** A person wrote; else a tool answered. */
  readonly byUser: boolean;
  /** Tokens of the whole prompt. */
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** How often the conversation in the prompt was rewritten so far: what is cached of it then is of no use. */
  readonly epoch: number;
  /** Sub-agents this turn starts, all at once; each asks its model once per step, one after another. */
  readonly subagents: readonly { readonly steps: readonly SubagentStep[] }[];
}

export interface SubagentStep {
  readonly tokensIn: number;
  readonly tokensOut: number;
}

export interface AgentSession {
  /** Tokens of system prompt and tools, which begin every prompt of the session and survive a rewritten conversation. */
  readonly sharedTokens: number;
  readonly turns: readonly SessionTurn[];
}

/** A context this much smaller than the one before was compacted, not just trimmed. */
export const compactedBelow = 0.7;
/** Less of the shorter prompt cached than this means that its beginning was rewritten. */
export const keptBelow = 0.9;

type Fields = { readonly [key: string]: unknown };
export type SessionProblem = { readonly line: number; readonly message: string };

/**
 * Agent sessions from JSON Lines, one session a line: the form of the traces of coding agents in
 * https://github.com/callanjfox/kv-cache-tester, with `requests` of `in`, `out`, `think_time` (s), `cached_blocks` and `blocks`;
 * an entry of type `subagent` holds the requests of one sub-agent. Sessions without a request are left out.
 */
export function parseSessionLog(text: string): {
  readonly sessions: readonly AgentSession[];
  readonly problems: readonly SessionProblem[];
} {
  const sessions: AgentSession[] = [];
  const problems: SessionProblem[] = [];
  for (const [index, row] of text.split('\n').entries()) {
    if (row.trim() === '') continue;
    try {
      const session = sessionOf(JSON.parse(row));
      if (session.turns.length > 0) sessions.push(session);
    } catch (error) {
      problems.push({ line: index + 1, message: (error as Error).message });
    }
  }
  return { sessions, problems };
}

function sessionOf(value: unknown): AgentSession {
  const { requests, system_tokens, tool_tokens } = fields(value, 'a session');
  if (!Array.isArray(requests)) throw new TypeError('a session has a list of requests');
  const turns: SessionTurn[] = [];
  let before: Fields | undefined;
  let epoch = 0;
  for (const [index, raw] of requests.entries()) {
    const request = fields(raw, `requests[${index}]`);
    if (request.type === 'subagent') {
      const last = turns.at(-1);
      if (last) turns[turns.length - 1] = { ...last, subagents: [...last.subagents, { steps: stepsOf(request, index) }] };
      continue;
    }
    const tokensIn = count(request, 'in', index);
    if (before && rewritten(before, request, index)) epoch++;
    const kinds = Array.isArray(request.input_types) ? request.input_types : [];
    turns.push({
      thinkMs: before === undefined ? 0 : optional(request, 'think_time') * 1000,
      byUser: !kinds.includes('tool_result'),
      tokensIn,
      tokensOut: Math.max(1, count(request, 'out', index)),
      epoch,
      subagents: [],
    });
    before = request;
  }
  return { sharedTokens: optional({ system_tokens }, 'system_tokens') + optional({ tool_tokens }, 'tool_tokens'), turns };
}

function rewritten(before: Fields, request: Fields, index: number): boolean {
  if (count(request, 'in', index) < compactedBelow * optional(before, 'in')) return true;
  const blocks = Math.min(optional(before, 'blocks'), optional(request, 'blocks'));
  return blocks > 0 && optional(request, 'cached_blocks') < keptBelow * blocks;
}

function stepsOf({ requests }: Fields, index: number): SubagentStep[] {
  if (!Array.isArray(requests)) throw new TypeError(`requests[${index}] is a subagent without requests`);
  return requests.map((raw) => {
    const request = fields(raw, `a request of requests[${index}]`);
    return { tokensIn: count(request, 'in', index), tokensOut: Math.max(1, count(request, 'out', index)) };
  });
}

function fields(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new TypeError(`${what} is not an object`);
}

function count(from: Fields, key: string, index: number): number {
  const value = from[key];
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`requests[${index}].${key} is not a number from 0 up`);
}

/** 0 where it is absent or no number. */
const optional = (from: Fields, key: string): number => {
  const value = from[key];
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, value) : 0;
};
