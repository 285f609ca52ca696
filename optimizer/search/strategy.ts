import type { Configuration, Descriptor, Prediction, ScoredConfiguration, SearchCertificate } from '../../compiler/contracts/index.ts';
import type { ServingPlan, Space } from '../space/space.ts';

/** Evaluates a configuration under the scenario's load. Pure; the optimizer hands in the predictor it has. */
export type Evaluate = (configuration: Configuration) => Prediction;

/** A lower bound on the objective for a partial partition; admissible, so pruning by it loses nothing. */
export interface Bound {
  /**
   * Of any configuration that keeps members of one group together and members of different groups apart; components in
   * no group may join any group or open new ones. With `replicas`, the groups are all units and have these many. With
   * `plan`, the models are served like that; without it in any way the space has.
   */
  lower(groups: readonly (readonly string[])[], replicas?: readonly number[], plan?: ServingPlan): number;
}

export interface SearchInput {
  readonly space: Space;
  readonly evaluate: Evaluate;
  readonly bound?: Bound;
  /** Value to minimize, infinity when a limit is broken at the optimistic end of the prediction. */
  readonly objective: (prediction: Prediction) => number;
  /** Orders configurations of equal objective, smaller first; without it fewer units, then the id decide. */
  readonly tieBreak?: (prediction: Prediction) => number;
  readonly count: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Nothing above this value is looked for; default: everything is. */
  readonly ceiling?: number;
  /** Most evaluations; a strategy that stops there says so in its certificate. Default: the strategy's own. */
  readonly maxEvaluations?: number;
}

export interface SearchStrategy {
  /** The best `count` distinct configurations, best first. State is rebuilt from the input, so resume is replay. */
  search(input: SearchInput): { readonly best: readonly ScoredConfiguration[]; readonly certificate: SearchCertificate };
}

export type SearchStrategyDescriptor = Descriptor<
  'searchStrategy',
  { readonly exact: boolean; readonly maxComponents: number },
  SearchStrategy
>;
export const defineSearchStrategy = (descriptor: Omit<SearchStrategyDescriptor, 'kind'>): SearchStrategyDescriptor => ({
  kind: 'searchStrategy',
  ...descriptor,
});
