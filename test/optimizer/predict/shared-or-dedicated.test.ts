import { describe, expect, it } from 'vitest';
import type { ScoredConfiguration } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../../../optimizer/predict/bound.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { thinServing } from '../../../optimizer/predict/thin-serving.ts';
import { brokenLimits, metricObjective } from '../../../optimizer/search/objective.ts';
import { searchLayouts } from '../../../optimizer/search/search-layouts.ts';
import { choicesOf, configurationOf, picksWith, replicaVectors } from '../../../optimizer/space/choices.ts';
import { eachPartition } from '../../../optimizer/space/partitions.ts';
import type { Space } from '../../../optimizer/space/space.ts';
import { engineOf } from '../../../runtime/llm/engine/options.ts';
import { simulatePool } from '../../../runtime/llm/engine/pool.ts';
import type { ScenarioConfig } from '../../../scenarios/schema.ts';
import { arrivalsOf, type Load, options, poolsOf, servingInput, servingScenario, servingSpace } from './serving-case.ts';

const { signal } = new AbortController();
const search = { pools: { main: ['shared', 'dedicated'] }, serving: { main: { replicas: [1, 2, 3] } }, candidates: 3 };

function pick(load: Load, config: ScenarioConfig) {
  const input = servingInput(load, config);
  const { space, ...serving } = thinServing(input, servingSpace(config));
  return searchLayouts({
    space,
    serving,
    analytic: createAnalyticPredictor(input),
    simulated: createSimulatedPredictor(input),
    boundFor: (objective, within) => createAnalyticBound({ ...input, space: within, objective }),
    objective: config.objective,
    count: 3,
    seed: 1,
    signal,
  });
}

/** Every layout with every way to serve the model, through the simulated predictor: the cheapest that keeps the limits. */
function best(load: Load, config: ScenarioConfig, space: Space): { readonly pools: string; readonly usd: number } {
  const simulated = createSimulatedPredictor(servingInput(load, config));
  let found = { pools: 'none', usd: Number.POSITIVE_INFINITY };
  eachPartition(space, {
    leaf: (groups) => {
      const choices = choicesOf(space, groups);
      for (const replicas of replicaVectors(choices)) {
        for (const each of picksWith(choices, replicas)) {
          const configuration = configurationOf(space, groups, choices, each);
          const prediction = simulated(configuration);
          if (!prediction.feasible || brokenLimits(prediction, config.objective, 'point').length > 0) continue;
          const usd = metricObjective(prediction, 'cost', config.objective);
          if (usd < found.usd) found = { pools: poolsOf(configuration), usd };
        }
      }
      return true;
    },
  });
  return found;
}

/** p95 of the time to the first token of chat, straight from the engines, under arrivals of their own. */
function firstTokenP95(load: Load, chat: number, digest: number, shared: number): number {
  const arrivals = arrivalsOf(load, 77);
  const chats = arrivals.filter(({ kind }) => kind === 'chat');
  const digests = arrivals.filter(({ kind }) => kind === 'digest');
  const run = (replicas: number, requests: typeof arrivals) =>
    simulatePool(
      { ...engineOf(options), replicas },
      requests.map(({ kind: _, ...request }) => request),
    ).map((times, i) => ({
      kind: requests[i]?.kind,
      firstMs: times.queuedMs + times.prefillMs,
    }));
  const all = shared > 0 ? run(shared, arrivals) : [...run(chat, chats), ...run(digest, digests)];
  const first = all.flatMap(({ kind, firstMs }) => (kind === 'chat' ? [firstMs] : [])).sort((a, b) => a - b);
  return first[Math.floor(0.95 * first.length)] ?? 0;
}

const proposal = ({ best: proposals }: { readonly best: readonly ScoredConfiguration[] }) => {
  const [first] = proposals;
  if (!first) throw new Error('nothing was proposed');
  return first;
};

describe('shared or dedicated pools', () => {
  it('splits a pool where long prompts make people wait for their first token', () => {
    const load = { chatPerSecond: 2, digestPerSecond: 0.35, measuredOn: 2 };
    const config = servingScenario(search, [{ class: 'chat', metric: 'firstToken.p95', max: 150 }]);
    const found = pick(load, config);
    const first = proposal(found);
    expect(poolsOf(first.configuration)).toBe('main@chat 1 + main@digest 1');
    // Every layout with every way to serve it agrees …
    expect(best(load, config, servingSpace(config)).pools).toBe('main@chat 1 + main@digest 1');
    // … and so do the engines themselves: no shared pool for the same money keeps the limit, nor one for half as much again.
    expect(firstTokenP95(load, 1, 1, 0)).toBeLessThan(150);
    expect(firstTokenP95(load, 0, 0, 2)).toBeGreaterThan(150);
    expect(firstTokenP95(load, 0, 0, 1)).toBeGreaterThan(150);
    expect(found.certificate).toMatchObject({ optimalUnder: 'predictor', serving: { plans: 12 } });
    // What the split is worth is predicted as the engines have it: within a fifth, under other arrivals.
    const predicted = first.prediction.classes.chat?.firstTokenMs?.p95Ms.point ?? 0;
    expect(predicted / firstTokenP95(load, 1, 1, 0)).toBeGreaterThan(0.8);
    expect(predicted / firstTokenP95(load, 1, 1, 0)).toBeLessThan(1.25);
  });

  it('shares one pool where two light loads leave room for each other', () => {
    const load = { chatPerSecond: 0.5, digestPerSecond: 0.05, digestTokens: 4_000 };
    const config = servingScenario(search, [{ class: 'chat', metric: 'firstToken.p95', max: 600 }]);
    const first = proposal(pick(load, config));
    expect(poolsOf(first.configuration)).toBe('main 1');
    expect(best(load, config, servingSpace(config)).pools).toBe('main 1');
    expect(firstTokenP95(load, 0, 0, 1)).toBeLessThan(600);
  });

  it('calls a pool that cannot carry its calls infeasible, not slow', () => {
    const load = { chatPerSecond: 2, digestPerSecond: 0.8, measuredOn: 3 };
    const config = servingScenario(search);
    const input = servingInput(load, config);
    const { facts } = thinServing(input, servingSpace(config));
    expect(facts.saturated).toBeGreaterThan(0);
    const one = createSimulatedPredictor(input);
    const space = servingSpace(config);
    const groups = [space.components];
    const choices = choicesOf(space, groups);
    const infeasible = [...picksWith(choices, [1])]
      .map((each) => configurationOf(space, groups, choices, each))
      .filter((configuration) => !one(configuration).feasible)
      .map(poolsOf);
    expect(infeasible).toContain('main@chat 1 + main@digest 1');
    expect(infeasible).not.toContain('main 3');
  });
});
