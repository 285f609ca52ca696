import { createRandom } from '../../../compiler/contracts/index.ts';
import { fitProbe, type ProbeFit } from '../../../profiler/engine/fit-probe.ts';
import { simulateGroups } from '../../../profiler/engine/fit-simulate.ts';
import { type Ask, openAsker, type ProbedRequest, probeEndpoint } from '../../../profiler/engine/probe.ts';
import { startLlamaProcess } from './llama-process.ts';
import { quantile } from './paired.ts';

export interface LiveSettings {
  readonly weights: string;
  readonly slots: number;
  readonly batchTokens: number;
  readonly mostTokensIn: number;
  readonly mostTokensOut: number;
  readonly repeats: number;
  /** Of the measurement of capacity, and of each load. */
  readonly capacityMs: number;
  readonly loadMs: number;
  /** Shares of capacity. */
  readonly loads: readonly number[];
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** What was seen or predicted under one load. */
export interface LoadTimes {
  readonly latencyP50Ms: number;
  readonly latencyP95Ms: number;
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  /** Requests answered per second, from the first sent to the last answered. */
  readonly requestsPerSecond: number;
}

export interface LoadResult {
  readonly share: number;
  readonly requests: number;
  readonly measured: LoadTimes;
  readonly predicted: LoadTimes;
  readonly errorsPct: LoadTimes;
}

export interface LiveResult {
  readonly fit: ProbeFit;
  readonly probedRequests: number;
  readonly probeMs: number;
  readonly capacityPerSecond: number;
  readonly loads: readonly LoadResult[];
  readonly realTime: boolean;
}

/**
 * Starts llama.cpp, fits a profile in a probing run, then drives open-loop Poisson loads it was not fitted on and holds
 * what was seen against what the engine with the fitted profile says for the same arrivals.
 */
export async function judgeLive(settings: LiveSettings): Promise<LiveResult> {
  const { slots, batchTokens, mostTokensIn, mostTokensOut, say } = settings;
  const contextTokens = 2 * (mostTokensIn + mostTokensOut);
  const server = await startLlamaProcess({ weights: settings.weights, slots, batchTokens, contextTokens, threads: 1, prefixReuse: false });
  const source = createRandom(settings.seed);
  const random = () => source.next();
  const { signal } = new AbortController();
  const endpoint = { url: server.url, model: 'model-main' };
  try {
    const asker = await openAsker({ endpoint, connections: 256, random, signal });
    const ask = async () => {
      const between = (low: number, high: number) => Math.round(low * (high / low) ** random());
      return asker.ask(between(16, mostTokensIn), between(4, mostTokensOut));
    };
    const startedMs = performance.now();
    const run = await probeEndpoint({
      endpoint,
      mostTokensIn,
      mostTokensOut,
      mostConcurrency: slots * 2,
      repeats: settings.repeats,
      limitMs: 120_000,
      random,
      signal,
    });
    const probeMs = performance.now() - startedMs;
    const fit = fitProbe(run);
    say(`fitted in ${Math.round(probeMs / 1000)} s on ${fit.compared} requests, median error ${percent(fit.medianErrorShare)}`);
    const capacityPerSecond = await capacity(ask, slots * 2, settings.capacityMs);
    say(`capacity ${capacityPerSecond.toFixed(2)} requests/s`);
    const loads: LoadResult[] = [];
    for (const share of settings.loads) {
      const seen = await openLoop(ask, share * capacityPerSecond, settings.loadMs, random);
      const result = judge(share, seen, fit);
      loads.push(result);
      say(describe(result));
    }
    await asker.close();
    return { fit, probedRequests: fit.compared, probeMs, capacityPerSecond, loads, realTime: server.realTime };
  } finally {
    await server.stop();
  }
}

/** Requests answered per second with so many in flight, the first fifth left out. */
async function capacity(ask: Ask0, inFlight: number, durationMs: number): Promise<number> {
  const ends: number[] = [];
  const startMs = performance.now();
  const worker = async () => {
    while (performance.now() - startMs < durationMs) {
      await ask();
      ends.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const counted = ends.filter((ms) => ms > durationMs / 5 && ms <= durationMs);
  return (counted.length / (durationMs * 0.8)) * 1000;
}

type Ask0 = () => ReturnType<Ask>;

async function openLoop(ask: Ask0, perSecond: number, durationMs: number, random: () => number): Promise<ProbedRequest[]> {
  const results: Promise<ProbedRequest | undefined>[] = [];
  const startMs = performance.now();
  for (let atMs = 0; atMs < durationMs; atMs += (-Math.log(1 - random()) * 1000) / perSecond) {
    const waitMs = startMs + atMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    results.push(ask());
  }
  const answered = await Promise.all(results);
  return answered.map((one) => {
    if (!one) throw new Error('a request failed, so the load is not what it should be');
    return one;
  });
}

function judge(share: number, seen: readonly ProbedRequest[], fit: ProbeFit): LoadResult {
  const group = seen.map(({ sentMs, tokensIn, tokensOut }) => ({ atMs: sentMs, tokensIn, tokensOut }));
  const simulated = simulateGroups([group], fit.args, fit.coefficients);
  const measured = timesOf(seen.map(({ sentMs, firstMs, lastMs }) => ({ sentMs, firstMs, lastMs })));
  const predicted = timesOf(
    seen.map(({ sentMs }, index) => {
      const { firstMs, decodeMs } = simulated[index] ?? { firstMs: 0, decodeMs: 0 };
      const first = sentMs + firstMs + fit.overheadMs;
      return { sentMs, firstMs: first, lastMs: first + decodeMs };
    }),
  );
  const error = (of: (times: LoadTimes) => number) => (of(predicted) / of(measured) - 1) * 100;
  return {
    share,
    requests: seen.length,
    measured,
    predicted,
    errorsPct: {
      latencyP50Ms: error((times) => times.latencyP50Ms),
      latencyP95Ms: error((times) => times.latencyP95Ms),
      ttftP50Ms: error((times) => times.ttftP50Ms),
      ttftP95Ms: error((times) => times.ttftP95Ms),
      requestsPerSecond: error((times) => times.requestsPerSecond),
    },
  };
}

function timesOf(requests: readonly { readonly sentMs: number; readonly firstMs: number; readonly lastMs: number }[]): LoadTimes {
  const latencies = requests.map(({ sentMs, lastMs }) => lastMs - sentMs);
  const firsts = requests.map(({ sentMs, firstMs }) => firstMs - sentMs);
  const spanMs = Math.max(...requests.map(({ lastMs }) => lastMs)) - Math.min(...requests.map(({ sentMs }) => sentMs));
  return {
    latencyP50Ms: quantile(latencies, 0.5),
    latencyP95Ms: quantile(latencies, 0.95),
    ttftP50Ms: quantile(firsts, 0.5),
    ttftP95Ms: quantile(firsts, 0.95),
    requestsPerSecond: (requests.length / spanMs) * 1000,
  };
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

function describe({ share, requests, measured, predicted, errorsPct }: LoadResult): string {
  const part = (name: string, of: (times: LoadTimes) => number, digits: number) =>
    `${name} ${of(measured).toFixed(digits)} → ${of(predicted).toFixed(digits)} (${of(errorsPct).toFixed(1)} %)`;
  return [
    `load ${(share * 100).toFixed(0)} % (${requests} requests, measured → predicted):`,
    part('latency p50', (times) => times.latencyP50Ms, 0),
    part('p95', (times) => times.latencyP95Ms, 0),
    part('first token p50', (times) => times.ttftP50Ms, 0),
    part('p95', (times) => times.ttftP95Ms, 0),
    part('requests/s', (times) => times.requestsPerSecond, 2),
  ].join('  ');
}
