import { offeredPerSecond } from '../profiler/load/workload.ts';
import type { Project } from './project.ts';

/**
 * What the model calls of a study may cost, as a range. Before any trace the calls per request are unknown, so the
 * range runs from one call per agent with a model to the most rounds each may take; tokens per call from the scenario's
 * prices times a short and a long prompt (100/50 and 2000/500 tokens in/out).
 */
export function estimateMoney(
  project: Project,
  study: { readonly secondsLow: number; readonly secondsHigh: number },
): { low: number; high: number; basis: string } | null {
  const { prices } = project.scenario.config;
  const agents = project.workflow.agents.filter((agent) => agent.model !== undefined && prices.models[agent.model]);
  if (agents.length === 0) return null;
  const perSecond = project.workload.classes.reduce((sum, each) => sum + (offeredPerSecond(each.arrivals) ?? 0), 0);
  const callUsd = (tokensIn: number, tokensOut: number) =>
    agents.reduce((sum, agent) => {
      const price = prices.models[agent.model ?? ''];
      return sum + (price ? (tokensIn * price.inputPerMillionUsd + tokensOut * price.outputPerMillionUsd) / 1e6 : 0);
    }, 0);
  return {
    low: perSecond * study.secondsLow * callUsd(100, 50),
    high: perSecond * study.secondsHigh * 5 * callUsd(2000, 500),
    basis: `${agents.length} agents with a priced model at ${perSecond} requests/s, one to five calls each`,
  };
}
