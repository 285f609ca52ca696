import type { TracedModelUse } from '../../../compiler/contracts/trace-digest.ts';
import { createRepeats, type RepeatTally } from './repeated.ts';
import { createTimes, type TimesTally } from './times.ts';
import { type ComponentRef, type ForeignVisit, refOf } from './visits.ts';

interface Entry {
  readonly agent: ComponentRef;
  readonly model: ComponentRef;
  readonly providers: Set<string>;
  readonly latency: TimesTally;
  readonly firstChunk: TimesTally;
  readonly repeats: RepeatTally;
  errors: number;
  inRequests: number;
  tokens: { in: number; out: number; cached: number | null } | null;
  costUsd: number | null;
}

export interface ModelTally {
  /**
   * `trace` stands for the conversation where the call names none; `complete`: it counts as a request. Calls must come in
   * order of time.
   */
  add(visit: ForeignVisit, trace: string, complete: boolean): void;
  result(requests: number, nameOf: (component: ComponentRef) => string): TracedModelUse[];
}

export function createModelUse(seed: number): ModelTally {
  const entries = new Map<string, Entry>();
  return {
    add(visit, trace, complete) {
      const { caller, facts, node } = visit;
      const agent = caller && caller.kind !== 'entry' ? caller : visit;
      const key = `${agent.key}\n${visit.key}`;
      let entry = entries.get(key);
      if (!entry) {
        entry = {
          agent: refOf(agent),
          model: refOf(visit),
          providers: new Set(),
          latency: createTimes(seed, 'model', key),
          firstChunk: createTimes(seed, 'chunk', key),
          repeats: createRepeats(),
          errors: 0,
          inRequests: 0,
          tokens: null,
          costUsd: null,
        };
        entries.set(key, entry);
      }
      entry.latency.add(node.endMs - node.startMs);
      if (!visit.ok) entry.errors++;
      if (complete) entry.inRequests++;
      const { provider } = node.span.label;
      if (provider !== null) entry.providers.add(provider);
      if (!facts) return;
      const { tokensIn, tokensOut, tokensCached, costUsd, firstChunkMs } = facts;
      if (tokensIn !== undefined || tokensOut !== undefined) {
        entry.tokens ??= { in: 0, out: 0, cached: null };
        entry.tokens.in += tokensIn ?? 0;
        entry.tokens.out += tokensOut ?? 0;
        if (tokensCached !== undefined) entry.tokens.cached = (entry.tokens.cached ?? 0) + tokensCached;
      }
      if (costUsd !== undefined) entry.costUsd = (entry.costUsd ?? 0) + costUsd;
      if (firstChunkMs !== undefined) entry.firstChunk.add(firstChunkMs);
      entry.repeats.add(visit.conversation ?? trace, facts);
    },
    result: (requests, nameOf) =>
      [...entries.values()]
        .map(({ agent, model, providers, latency, firstChunk, repeats, errors, inRequests, tokens, costUsd }) => ({
          agent: nameOf(agent),
          model: model.name,
          component: nameOf(model),
          provider: [...providers].sort()[0] ?? null,
          calls: latency.count,
          callsPerRequest: requests === 0 ? 0 : inRequests / requests,
          errors,
          tokens,
          costUsd,
          latency: latency.times(),
          firstChunk: firstChunk.count === 0 ? null : firstChunk.times(),
          repeated: repeats.result(),
        }))
        .sort((a, b) => b.latency.totalMs - a.latency.totalMs || (`${a.agent}\n${a.model}` < `${b.agent}\n${b.model}` ? -1 : 1)),
  };
}
