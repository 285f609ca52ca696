/**
 * Where a number comes from, strongest first. A derived number carries the weakest of its sources.
 *
 * - `measured`: observed on a live deployment with real peers
 * - `replayed`: observed on a live deployment, but replies came from a recording
 * - `simulated`: observed on a live deployment whose model (or peer) is simulated
 * - `modelled`: computed by a predictor; nothing ran
 */
export const provenances = ['measured', 'replayed', 'simulated', 'modelled'] as const;
export type Provenance = (typeof provenances)[number];

/** The weakest of the given sources; `measured` for an empty list. */
export function weakest(sources: Iterable<Provenance>): Provenance {
  let rank = 0;
  for (const source of sources) rank = Math.max(rank, provenances.indexOf(source));
  return provenances[rank] as Provenance;
}

/** A number with an interval. `level` is the coverage, e.g. 0.95. Unit is in the name of the field that holds it. */
export interface Estimate {
  readonly point: number;
  readonly low: number;
  readonly high: number;
  readonly level: number;
  /** Number of independent observations behind it (blocks, not requests, for a comparison); 0 when modelled. */
  readonly n: number;
  readonly provenance: Provenance;
}
