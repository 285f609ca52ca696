/**
 * How fast layouts are predicted and searched. Prints one JSON line last.
 *
 *   npx tsx test/bench/search.ts
 */
import { performance } from 'node:perf_hooks';
import { allInOne, onePerComponent, type Prediction } from '../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../../optimizer/predict/bound.ts';
import { createSimulator } from '../../optimizer/predict/simulated.ts';
import { exact } from '../../optimizer/search/exact.ts';
import { metricObjective } from '../../optimizer/search/objective.ts';
import { defaults, inputOf, poisson, randomCase, scenario, spaceOf } from '../optimizer/synthetic-profile.ts';

const { signal } = new AbortController();

function seconds(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function analyticRate(n: number): number {
  const { workflow, profile } = randomCase(n, 1, 64);
  const predict = createAnalyticPredictor(inputOf(workflow, profile, poisson(20), { hostCores: 4 }));
  const layouts = [onePerComponent(workflow, defaults), allInOne(workflow, defaults)];
  const run = (times: number) => {
    for (let i = 0; i < times; i++) predict(layouts[i % 2] as (typeof layouts)[number]);
  };
  run(2_000);
  const times = 20_000;
  return times / seconds(() => run(times));
}

function boundRate(n: number): number {
  const { workflow, profile, names } = randomCase(n, 1, 64);
  const space = spaceOf(workflow);
  const objective = (prediction: Prediction) => metricObjective(prediction, 'latency.p95', scenario().objective);
  const bound = createAnalyticBound({ ...inputOf(workflow, profile, poisson(20), { hostCores: 4 }), space, objective });
  const groups = names.map((name) => [name]);
  const run = (times: number) => {
    for (let i = 0; i < times; i++) bound.lower(groups);
  };
  run(2_000);
  const times = 20_000;
  return times / seconds(() => run(times));
}

function searchOnce(n: number, metric: string, replicas: number) {
  const { workflow, profile, names } = randomCase(n, 1, 64);
  const space = spaceOf(workflow, { replicas: Object.fromEntries(names.map((name) => [name, { min: 1, max: replicas }])) });
  const input = inputOf(workflow, profile, poisson(60), { hostCores: 8 });
  const objective = (prediction: Prediction) => metricObjective(prediction, metric, scenario().objective);
  const bound = createAnalyticBound({ ...input, space, objective });
  const start = performance.now();
  const { best, certificate } = exact.search({
    space,
    evaluate: createAnalyticPredictor(input),
    bound,
    objective,
    count: 64,
    seed: 1,
    signal,
  });
  const row = {
    n,
    metric,
    replicas,
    seconds: Number(((performance.now() - start) / 1000).toFixed(3)),
    evaluated: certificate.evaluated,
    spaceSize: certificate.spaceSize,
    optimalUnder: certificate.optimalUnder,
    gap: Number(certificate.gap.toFixed(4)),
    best: best[0]?.objective ?? null,
  };
  console.log(
    `exact n=${n} ${metric} replicas<=${replicas}: ${row.seconds} s, ${row.evaluated} of ${row.spaceSize} evaluated, ${row.optimalUnder}, gap ${row.gap}`,
  );
  return row;
}

function eventRate() {
  const { workflow, profile } = randomCase(10, 1, 64);
  const simulator = createSimulator(inputOf(workflow, profile, poisson(20), { hostCores: 4, requests: 20_000 }));
  const layout = onePerComponent(workflow, defaults);
  simulator.run(layout);
  let events = 0;
  const took = seconds(() => {
    for (let i = 0; i < 5; i++) events += simulator.run(layout).events;
  });
  const usual = createSimulator(inputOf(workflow, profile, poisson(20), { hostCores: 4 }));
  usual.run(layout);
  const perConfiguration = seconds(() => {
    for (let i = 0; i < 10; i++) usual.run(layout);
  });
  return { eventsPerSecond: Math.round(events / took), msPerConfiguration: Number((perConfiguration * 100).toFixed(2)) };
}

const analyticPerSecond = Object.fromEntries([4, 8, 12].map((n) => [n, Math.round(analyticRate(n))]));
console.log('analytic predictions/s by number of components:', analyticPerSecond);
const boundPerSecond = Object.fromEntries([4, 8, 12].map((n) => [n, Math.round(boundRate(n))]));
console.log('bounds/s by number of components:', boundPerSecond);
const events = eventRate();
console.log(`simulation: ${events.eventsPerSecond} events/s, ${events.msPerConfiguration} ms per configuration of 10 components`);
const searches = [6, 8, 10, 12].flatMap((n) => [searchOnce(n, 'latency.p95', 1), searchOnce(n, 'cost', 1), searchOnce(n, 'cost', 2)]);
console.log(JSON.stringify({ bench: 'search', analyticPerSecond, boundPerSecond, ...events, searches }));
