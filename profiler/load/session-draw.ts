import { createRandom, deriveSeed, type Random } from '../../compiler/contracts/random.ts';
import { normal, normalCdf } from './distributions.ts';
import { type QuantileTable, tableValue } from './quantile-table.ts';
import { type SessionFit, type SessionQuantity, sessionQuantities } from './session-fit.ts';
import type { AgentSession, SessionTurn } from './session-log.ts';

/**
 * Sessions drawn from a fit; session k depends on seed and k alone. What differs between sessions is drawn together, with
 * the fitted rank correlations (a Gaussian copula), the turns around it independently of each other.
 */
export function drawSessions(fit: SessionFit, count: number, seed: number): AgentSession[] {
  const factor = correlationFactor(fit.correlation);
  return Array.from({ length: count }, (_, k) => drawSession(fit, factor, createRandom(deriveSeed(seed, 'session', k))));
}

function drawSession(fit: SessionFit, factor: readonly (readonly number[])[], random: Random): AgentSession {
  const from = (table: QuantileTable) => tableValue(table, random.next());
  const independent = sessionQuantities.map(() => normal(random));
  const own = Object.fromEntries(
    sessionQuantities.map((quantity, row) => {
      const score = (factor[row] ?? []).reduce((sum, weight, i) => sum + weight * (independent[i] ?? 0), 0);
      return [quantity, tableValue(fit.session[quantity], normalCdf(score))];
    }),
  ) as { readonly [quantity in SessionQuantity]: number };
  const sharedTokens = Math.round(Math.min(from(fit.sharedTokens), own.firstTokens));
  const { atTokens, mostTokens } = fit.compaction;
  const limitTokens = own.firstTokens > atTokens ? mostTokens : atTokens;
  const count = Math.max(1, Math.round(own.turns));
  const newTokens = shares(fit.turn.newTokens, own.newTokens, count, random);
  const turns: SessionTurn[] = [];
  let tokensIn = own.firstTokens;
  let epoch = 0;
  for (let turn = 0; turn < count; turn++) {
    const byUser = turn === 0 || random.next() < fit.user.share;
    const thinkMs = byUser ? from(fit.user.thinkMs) : from(fit.turn.toolMs);
    const subagents = random.next() < fit.subagents.share ? drawSubagents(fit, random) : [];
    const out = Math.max(1, Math.round(from(fit.turn.tokensOut)));
    turns.push({ thinkMs: turn === 0 ? 0 : Math.round(thinkMs), byUser, tokensIn: Math.round(tokensIn), tokensOut: out, epoch, subagents });
    const grown = tokensIn + out + (newTokens[turn] ?? 0);
    const compacted = random.next() < fit.compaction.share || grown > limitTokens;
    if (compacted || random.next() < fit.rewriteShare) epoch++;
    tokensIn = Math.max(sharedTokens, compacted ? tokensIn * from(fit.compaction.left) : grown);
  }
  return { sharedTokens, turns };
}

/** Values for the turns of a session whose mean is the session's: what a session comes to is a property of it, not of chance. */
function shares(ratios: QuantileTable, mean: number, count: number, random: Random): number[] {
  const drawn = Array.from({ length: count }, () => tableValue(ratios, random.next()));
  const sum = drawn.reduce((total, ratio) => total + ratio, 0);
  return drawn.map((ratio) => (sum > 0 ? (ratio / sum) * count * mean : mean));
}

/** Sub-agents that start at once. */
export function drawSubagents({ subagents }: SessionFit, random: Random): SessionTurn['subagents'] {
  const from = (table: QuantileTable) => tableValue(table, random.next());
  return Array.from({ length: Math.max(1, Math.round(from(subagents.count))) }, () => {
    let tokensIn = Math.max(1, from(subagents.firstTokens));
    const steps = Array.from({ length: Math.max(1, Math.round(from(subagents.steps))) }, () => {
      const step = { tokensIn: Math.round(tokensIn), tokensOut: Math.max(1, Math.round(from(subagents.tokensOut))) };
      tokensIn = Math.max(tokensIn, tokensIn + step.tokensOut + from(subagents.newTokens));
      return step;
    });
    return { steps };
  });
}

/** By how much correlations are drawn towards none when no variables can have all of them at once. */
const shrink = 0.9;

/**
 * Lower triangle L with L·Lᵀ the correlation of the normal scores; a rank correlation ρ is one of 2·sin(πρ/6) there (Pearson
 * 1907). Cholesky's decomposition.
 */
function correlationFactor(ranks: SessionFit['correlation'], weight = 1): number[][] {
  const lower: number[][] = [];
  for (const [i, row] of ranks.entries()) {
    const out: number[] = [];
    lower.push(out);
    for (let j = 0; j <= i; j++) {
      const wanted = i === j ? 1 : 2 * Math.sin((Math.PI * weight * (row[j] ?? 0)) / 6);
      const known = out.reduce((sum, value, k) => sum + (k < j ? value * (lower[j]?.[k] ?? 0) : 0), 0);
      if (i !== j) out.push((wanted - known) / (lower[j]?.[j] ?? 1));
      else if (wanted - known <= 1e-9) return correlationFactor(ranks, weight * shrink);
      else out.push(Math.sqrt(wanted - known));
    }
  }
  return lower;
}
