import { setTimeout as sleep } from 'node:timers/promises';
import type { InputRequest, PausedAnswer } from '../../compiler/contracts/call-errors.ts';
import { canonicalJson } from '../../compiler/contracts/json.ts';
import type { Reply } from './exchange.ts';
import { ingressHeaders, type LoadClass, type ScriptedReply } from './job.ts';

/** What the script says to a question; undefined when it says nothing. */
export function scriptedReply(script: readonly ScriptedReply[] | undefined, asked: InputRequest): ScriptedReply | undefined {
  const text = typeof asked.prompt === 'string' ? asked.prompt : canonicalJson(asked.prompt);
  return script?.find(
    ({ component, prompt }) =>
      (component === undefined || component === asked.component) && (prompt === undefined || text.includes(prompt)),
  );
}

/** The body of an answer as a question to a person; undefined when it is something else. */
export function pausedAnswer(value: unknown): PausedAnswer | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, details, session, request } = value as Partial<PausedAnswer>;
  const whole = code === 'inputRequired' && typeof details?.id === 'string' && typeof session === 'string' && typeof request === 'string';
  return whole ? (value as PausedAnswer) : undefined;
}

/** The request that brings all replies so far: what differs from the first request of it. */
export function followUp(asked: PausedAnswer, input: unknown, replies: { readonly [id: string]: unknown }) {
  const { session, request, traceparent, pausedAtMs } = asked;
  return {
    body: Buffer.from(JSON.stringify({ input, resume: replies, pausedAtMs })),
    headers: {
      [ingressHeaders.resume]: '1',
      [ingressHeaders.session]: session,
      [ingressHeaders.request]: request,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  };
}

/** What the pauses of one request came to. */
export interface HumanPart {
  readonly pauses: number;
  readonly humanMs: number;
  readonly waitedMs: number;
}

/** More questions than this in one request are a loop, not a conversation. */
const mostPauses = 100;

/** The person of one request: replies as the script says, and keeps count of what that came to. */
export function createPerson({ humans, humanWaitMs = 0 }: Pick<LoadClass, 'humans' | 'humanWaitMs'>) {
  const replies: { [id: string]: unknown } = {};
  let [pauses, humanMs, waitedMs, nextMs] = [0, 0, 0, 0];
  let bytesIn = 0;
  let firstChunkMs: number | null = null;
  let maxGapMs: number | null = null;
  return {
    /** The reply with what earlier stretches of its request brought. */
    adding(reply: Reply): Reply {
      bytesIn += reply.bytesIn;
      if (reply.firstChunkMs !== null) firstChunkMs ??= reply.firstChunkMs - waitedMs;
      if (reply.maxGapMs !== null) maxGapMs = Math.max(maxGapMs ?? 0, reply.maxGapMs);
      return { ...reply, bytesIn, firstChunkMs, maxGapMs };
    },
    /** All replies so far, the one to this question included; undefined where there is none, or it was given before. */
    repliesTo({ details }: PausedAnswer): { readonly [id: string]: unknown } | undefined {
      const scripted = scriptedReply(humans, details);
      if (scripted === undefined || Object.hasOwn(replies, details.id) || pauses >= mostPauses) return undefined;
      replies[details.id] = scripted.reply;
      pauses++;
      humanMs += scripted.afterMs;
      nextMs = Math.min(humanWaitMs, scripted.afterMs);
      return { ...replies };
    },
    /** Waits as much of the last reply's delay as is asked for. Rejects when aborted. */
    async waits(signal: AbortSignal): Promise<void> {
      if (nextMs <= 0) return;
      const since = performance.now();
      await sleep(nextMs, undefined, { signal });
      waitedMs += performance.now() - since;
    },
    took: (): HumanPart | undefined => (pauses === 0 ? undefined : { pauses, humanMs, waitedMs }),
  };
}
