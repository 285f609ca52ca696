import { parseArgs } from 'node:util';
import { judgeLive } from './lib/live-loads.ts';

/**
 * A profile fitted live against a llama.cpp server, held against loads it was not fitted on: `npm run bench:fit-live`, with
 * [--weights random-98m] [--seconds 45 per load] [--seed 1]. The server computes on one thread; where the system lets
 * it, server and client run with real-time priority, so that what else runs on the machine does not decide. The last
 * line is JSON.
 */
const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'random-98m' },
    seconds: { type: 'string', default: '45' },
    seed: { type: 'string', default: '1' },
  },
});
const loadMs = Number(values.seconds) * 1000;
const result = await judgeLive({
  weights: values.weights,
  slots: 4,
  batchTokens: 512,
  mostTokensIn: 256,
  mostTokensOut: 32,
  repeats: 3,
  capacityMs: loadMs / 2,
  loadMs,
  loads: [0.3, 0.6, 0.85],
  seed: Number(values.seed),
  say: (line) => process.stdout.write(`${line}\n`),
});
const { fit } = result;
for (const text of fit.undetermined) process.stdout.write(`not determined: ${text}\n`);
const round = (value: number) => Math.round(value * 100) / 100;
const rounded = (times: object) => Object.fromEntries(Object.entries(times).map(([name, value]) => [name, round(value)]));
const worst = Math.max(...result.loads.flatMap(({ errorsPct }) => Object.values(errorsPct).map((value) => Math.abs(value))));
process.stdout.write(
  `${JSON.stringify({
    weights: values.weights,
    realTime: result.realTime,
    fitMedianErrorPct: round(fit.medianErrorShare * 100),
    overheadMs: round(fit.overheadMs),
    limits: fit.limits,
    capacityPerSecond: round(result.capacityPerSecond),
    loads: result.loads.map(({ share, requests, measured, predicted, errorsPct }) => ({
      share,
      requests,
      measured: rounded(measured),
      predicted: rounded(predicted),
      errorsPct: rounded(errorsPct),
    })),
    worstErrorPct: round(worst),
  })}\n`,
);
