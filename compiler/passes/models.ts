import { didYouMean } from '../contracts/suggest.ts';
import { type Pass, problemAt } from './draft.ts';

/** Every model an agent asks for must be bound by the scenario. */
export const findUnboundModels =
  (bound: readonly string[]): Pass =>
  (draft) =>
    draft.workflow.agents.flatMap((agent) => {
      if (agent.model === undefined || bound.includes(agent.model)) return [];
      const guess = didYouMean(agent.model, bound);
      return problemAt(draft, agent.name, {
        code: 'DMAS_WF_UNBOUND_MODEL',
        message: `"${agent.name}" uses model "${agent.model}", which the scenario does not bind`,
        allowed: bound,
        ...(guess === undefined ? {} : { didYouMean: guess }),
      });
    });
