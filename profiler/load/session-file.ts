import { createRandom, deriveSeed } from '../../compiler/contracts/random.ts';
import type { SessionArrivals } from './job.ts';
import { drawSessions, drawSubagents } from './session-draw.ts';
import { type SessionFit, sessionFitSchema } from './session-fit.ts';
import { type AgentSession, parseSessionLog, type SessionProblem, type SessionTurn } from './session-log.ts';

/** How sessions of a file are played. */
export interface SessionScale {
  readonly perSecond: number;
  /** How many are drawn, or read. */
  readonly count: number;
  readonly maxTurns?: number | undefined;
  readonly thinkScale: number;
  readonly tokenScale: number;
  /** Longest prompt, after scaling. */
  readonly maxTokens?: number | undefined;
  readonly subagentShare?: number | undefined;
  readonly maxSteps?: number | undefined;
  readonly seed: number;
}

/** What a request says of its turn; the workflow builds prompts of such length and asks for replies of such length. */
export interface TurnFacts {
  /** Number of the session's script; two live sessions may play the same one. */
  readonly session: number;
  readonly turn: number;
  readonly byUser: boolean;
  readonly promptTokens: number;
  /** The first of them, which no rewriting changes: system prompt and tools. */
  readonly sharedTokens: number;
  readonly outputTokens: number;
  readonly epoch: number;
  readonly subagents: readonly { readonly steps: readonly { readonly promptTokens: number; readonly outputTokens: number }[] }[];
}

export type ReadSessions =
  | { readonly arrivals: SessionArrivals; readonly inputs: readonly unknown[] }
  | { readonly problems: readonly (Omit<SessionProblem, 'line'> & { readonly line?: number })[] };

/**
 * Sessions to play from the text of a file in one of three forms: a fit (JSON), of which sessions are drawn; a log of agent
 * sessions (JSON Lines with `requests`); or sessions written out (JSON Lines `{"turns":[{"thinkMs":…,"input":…}]}`), whose
 * inputs are sent as they are and of which only think times and turns are scaled.
 */
export function readSessions(text: string, scale: SessionScale): ReadSessions {
  const fit = asFit(text);
  if (fit !== undefined) {
    if ('problems' in fit) return fit;
    return playable(drawSessions(fit, scale.count, scale.seed), scale, fit);
  }
  if (/^\s*\{\s*"turns"/.test(text)) return written(text, scale);
  const { sessions, problems } = parseSessionLog(text);
  if (problems.length > 0) return { problems };
  if (sessions.length === 0) return { problems: [{ message: 'has no session' }] };
  return playable(sessions.slice(0, scale.count), scale, undefined);
}

/** Undefined when the text is no single JSON value, so JSON Lines. */
function asFit(text: string): SessionFit | { readonly problems: readonly { readonly message: string }[] } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // A file of one line is one JSON value, too.
  if (typeof value === 'object' && value !== null && ('requests' in value || 'turns' in value)) return undefined;
  const parsed = sessionFitSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  return { problems: parsed.error.issues.slice(0, 5).map(({ path, message }) => ({ message: `${path.join('.') || 'file'}: ${message}` })) };
}

function playable(sessions: readonly AgentSession[], scale: SessionScale, fit: SessionFit | undefined): ReadSessions {
  const inputs: TurnFacts[] = [];
  const scripts = sessions.map((session, number) => {
    const firstInput = inputs.length;
    const turns = session.turns.slice(0, scale.maxTurns);
    inputs.push(...factsOf(session, turns, number, scale, fit));
    return { firstInput, thinkMs: turns.map((turn) => turn.thinkMs * scale.thinkScale) };
  });
  return { arrivals: { process: 'sessions', perSecond: scale.perSecond, scripts }, inputs };
}

function factsOf(
  session: AgentSession,
  turns: readonly SessionTurn[],
  number: number,
  scale: SessionScale,
  fit: SessionFit | undefined,
): TurnFacts[] {
  const { tokenScale, subagentShare, maxSteps, maxTokens = Number.POSITIVE_INFINITY } = scale;
  const random = createRandom(deriveSeed(scale.seed, 'subagents', number));
  const scaled = (tokens: number) => Math.max(1, Math.round(tokens * tokenScale));
  const sharedTokens = Math.min(scaled(session.sharedTokens), Math.floor(maxTokens / 2));
  // Tokens a cut took away stay away until the session is compacted by itself.
  let removed = 0;
  let cuts = 0;
  let before = 0;
  return turns.map((turn, index) => {
    const own = scaled(turn.tokensIn);
    if (own < before) removed = 0;
    before = own;
    if (own - removed > maxTokens) {
      // What is left is the shared part and a quarter of the room, as compaction leaves a summary.
      removed = own - Math.max(sharedTokens, Math.round(maxTokens / 4));
      cuts++;
    }
    const drawn =
      subagentShare === undefined
        ? turn.subagents
        : random.next() < subagentShare
          ? fit === undefined || fit.subagents.share === 0
            ? turn.subagents
            : drawSubagents(fit, random)
          : [];
    return {
      session: number,
      turn: index,
      byUser: turn.byUser,
      promptTokens: Math.max(sharedTokens, own - removed),
      sharedTokens,
      outputTokens: scaled(turn.tokensOut),
      epoch: turn.epoch + cuts,
      subagents: drawn.map(({ steps }) => ({
        steps: steps.slice(0, maxSteps).map((step) => ({
          promptTokens: Math.min(scaled(step.tokensIn), maxTokens),
          outputTokens: scaled(step.tokensOut),
        })),
      })),
    };
  });
}

function written(text: string, scale: SessionScale): ReadSessions {
  const problems: SessionProblem[] = [];
  const inputs: unknown[] = [];
  const scripts: SessionArrivals['scripts'][number][] = [];
  for (const [index, row] of text.split('\n').entries()) {
    if (row.trim() === '' || scripts.length === scale.count) continue;
    try {
      const turns = writtenTurns(JSON.parse(row)).slice(0, scale.maxTurns);
      scripts.push({ firstInput: inputs.length, thinkMs: turns.map((turn) => turn.thinkMs * scale.thinkScale) });
      inputs.push(...turns.map((turn) => turn.input));
    } catch (error) {
      problems.push({ line: index + 1, message: (error as Error).message });
    }
  }
  return problems.length > 0 ? { problems } : { arrivals: { process: 'sessions', perSecond: scale.perSecond, scripts }, inputs };
}

function writtenTurns(value: unknown): { readonly thinkMs: number; readonly input: unknown }[] {
  const { turns } = (value ?? {}) as { turns?: unknown };
  if (!Array.isArray(turns) || turns.length === 0) throw new TypeError('a session has a list of turns, at least one');
  return turns.map((turn: unknown, index) => {
    const { thinkMs = 0, input } = (turn ?? {}) as { thinkMs?: unknown; input?: unknown };
    if (input === undefined) throw new TypeError(`turns[${index}] has no input`);
    if (typeof thinkMs !== 'number' || !(thinkMs >= 0)) throw new TypeError(`turns[${index}].thinkMs is not a number from 0 up`);
    return { thinkMs, input };
  });
}
