import type { Standing } from './evidence.ts';

export type Why = 'better' | 'meets-limits' | 'promising' | 'baseline-failed';

/** Who goes on to be confirmed on fresh deployments, and what speaks for it. */
export interface Choice {
  readonly configurationId: string;
  readonly why: Why;
}

export interface ChooseInput {
  readonly baseline: Standing;
  readonly baselineFailed: boolean;
  /** In trial order; ties go to the earlier. */
  readonly challengers: readonly Standing[];
  readonly margin: number;
}

/**
 * The challenger to confirm, or null when none is worth it. Limits come first: a baseline that breaks them gives way to
 * the best that holds them. Then the best proven gain; then the best apparent gain beyond the margin, which may still be
 * proven by the confirmation, whose data know nothing of this choice.
 */
export function chooseForConfirmation(input: ChooseInput): Choice | null {
  const { baseline, baselineFailed, margin } = input;
  const measured = input.challengers.filter((standing) => standing.validBlocks > 0 && standing.limits !== false);
  const holding = measured.filter((standing) => standing.limits === true);
  const pick = (standings: readonly Standing[], why: Why): Choice | null => {
    const [best] = [...standings].sort((a, b) => (a.score ?? 0) - (b.score ?? 0));
    return best === undefined ? null : { configurationId: best.configurationId, why };
  };
  if (baselineFailed) return pick(holding, 'baseline-failed') ?? pick(measured, 'baseline-failed');
  if (baseline.limits === false) return pick(holding, 'meets-limits') ?? pick(measured, 'meets-limits');
  const better = (standing: Standing) => standing.verdict === 'better';
  const apparent = (standing: Standing) =>
    (better(standing) || standing.verdict === 'inconclusive') && standing.score !== null && standing.score < -Math.log1p(margin);
  return pick(holding.filter(better), 'better') ?? pick(measured.filter(apparent), 'promising');
}

/** The best of baseline, all-in-one and one-per-agent that keeps the limits (of all, if none does); gains are quoted against it. */
export function bestReference(baseline: Standing, references: readonly Standing[]): Standing {
  const measured = references.filter((standing) => standing.validBlocks > 0 && standing.score !== null);
  // The baseline's score against itself is 0; a reference has to be ahead of it to replace it.
  const all = [{ ...baseline, score: 0 }, ...measured];
  const keeping = all.filter((standing) => standing.limits !== false);
  const [best] = [...(keeping.length > 0 ? keeping : all)].sort((a, b) => (a.score ?? 0) - (b.score ?? 0));
  return best ?? baseline;
}
