import type { DrawReply, DrawRequest, TapeCounts, TapeStats } from '../../compiler/contracts/index.ts';
import { createQuota, type Quota, type Quotas } from '../llm/limiter/quota.ts';
import type { Tape } from './tape.ts';

export interface DeskOptions {
  /** Per logical model; a model without any has no quota. */
  readonly limits: { readonly [model: string]: Quotas };
  /** Models whose misses are answered by made-up replies. */
  readonly simulate: ReadonlySet<string>;
}

/** Gives out what is on a tape, under the quotas, and keeps count: one for a whole deployment. */
export interface TapeDesk {
  draw(request: DrawRequest, nowMs: number): DrawReply;
  stats(): TapeStats;
}

type Counting = { -readonly [key in keyof TapeCounts]: TapeCounts[key] extends number ? number : { [name: string]: number } };

export function createTapeDesk(tape: Tape, options: DeskOptions): TapeDesk {
  const quotas = new Map<string, Quota>(Object.entries(options.limits).map(([model, limits]) => [model, createQuota(limits)]));
  const counts = new Map<string, Counting>();
  const countsOf = (target: string): Counting => {
    const known = counts.get(target);
    if (known) return known;
    const fresh: Counting = { requests: 0, hits: { exact: 0, near: 0, loose: 0 }, misses: {}, throttled: 0, ambiguous: 0, synthetic: 0 };
    counts.set(target, fresh);
    return fresh;
  };

  return {
    draw: (request, nowMs) => {
      const { kind, target, keys, caller, conversation } = request;
      const count = countsOf(target);
      const wanted = { kind, target, keys, caller, conversation };
      const quota = kind === 'model' ? quotas.get(target) : undefined;
      if (quota !== undefined) {
        // Refused calls come again: they must not move on in the conversation.
        const usage = tape.peek(wanted)?.reply.usage;
        const admission = quota.take(usage ? usage.tokensIn + usage.tokensOut : (request.tokens ?? 0), nowMs);
        if (!admission.admitted) {
          count.throttled++;
          return { found: 'throttled', limit: admission.limit, retryAfterMs: admission.retryAfterMs };
        }
      }
      count.requests++;
      const { entry, by, ambiguous } = tape.draw(wanted);
      const simulated = options.simulate.has(target);
      const empty = entry !== undefined && entry.reply.content === undefined;
      if (entry === undefined || (empty && !simulated)) {
        const who = caller ?? 'unknown';
        count.misses[who] = (count.misses[who] ?? 0) + 1;
        if (simulated) count.synthetic++;
        return { found: 'miss' };
      }
      count.hits[by ?? 'exact'] = (count.hits[by ?? 'exact'] ?? 0) + 1;
      if (ambiguous) count.ambiguous++;
      if (empty) count.synthetic++;
      return { found: 'hit', id: entry.id, reply: entry.reply, timing: entry.timing };
    },
    stats: () => structuredClone(Object.fromEntries(counts)) as unknown as TapeStats,
  };
}
