import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createRandom } from '../../../compiler/contracts/index.ts';
import { fitProbe } from '../../../profiler/engine/fit-probe.ts';
import { type ProbedRound, probeEndpoint } from '../../../profiler/engine/probe.ts';
import { planProbe } from '../../../profiler/engine/probe-plan.ts';
import { simulateArrivals } from '../../../runtime/llm/engine/simulate.ts';
import { coefficientStepTime } from '../../../runtime/llm/engine/step-times.ts';
import { createModelServer, type ModelServer } from '../../../runtime/llm/server/model-server.ts';
import { coefficientsOf, type KnownEngine, knownArgs } from './logs.ts';

const engine: KnownEngine = { fixedMs: 3, perPromptTokenMs: 0.5, perSequenceMs: 1, perContextTokenMs: 0.001 };
const overheadMs = 4;
const randomOf = (seed: number) => {
  const source = createRandom(seed);
  return () => source.next();
};

/** The rounds of a plan as an engine of which everything is known would answer them. */
function answered(args: typeof knownArgs, seed: number, mostConcurrency = 8): ProbedRound[] {
  const random = randomOf(seed);
  let clockMs = 0;
  return planProbe({ mostTokensIn: 768, mostTokensOut: 48, mostConcurrency, repeats: 2, random }).map(({ name, requests }) => {
    clockMs += 10_000;
    const arrivals = requests.map(({ tokensIn, tokensOut, afterMs }, index) => ({ tokensIn, tokensOut, atMs: afterMs + index * 0.1 }));
    const times = simulateArrivals({ args, stepTime: coefficientStepTime(coefficientsOf(engine)) }, arrivals);
    return {
      name,
      requests: arrivals.map(({ tokensIn, tokensOut, atMs }, index) => {
        const { queuedMs = 0, prefillMs = 0, decodeMs = 0 } = times[index] ?? {};
        const sentMs = clockMs + atMs;
        const firstMs = sentMs + queuedMs + prefillMs + overheadMs;
        return { tokensIn, tokensOut, sentMs, firstMs, lastMs: firstMs + decodeMs, piecesMs: [] };
      }),
    };
  });
}

const runOf = (rounds: readonly ProbedRound[]) => ({ rounds, planned: rounds.length, failed: 0, words: 'max_tokens' as const });

describe('a profile from a probing run', () => {
  const limited = { ...knownArgs, maxNumSeqs: 4, maxNumBatchedTokens: 256 };
  const fit = fitProbe(runOf(answered(limited, 1)));

  it('finds step times, the time outside the engine, sequences at a time and tokens per step', () => {
    expect(fit.limits).toMatchObject({ maxNumSeqs: 4, maxNumBatchedTokens: 256 });
    expect(fit.medianErrorShare).toBeLessThan(0.02);
    const [fitted, real] = [coefficientStepTime(fit.coefficients), coefficientStepTime(coefficientsOf(engine))];
    const decodes = (count: number) => ({
      decodes: count,
      decodeContextTokens: 200 * count,
      decodeContextMax: 200,
      prefillChunks: 0,
      prefillTokens: 0,
      prefillChunkMax: 0,
      prefillContextTokens: 0,
      prefillPairs: 0,
      samples: count,
    });
    for (const count of [1, 2, 4]) expect(fitted.stepMs(decodes(count)) / real.stepMs(decodes(count))).toBeCloseTo(1, 1);
    expect(fit.overheadMs).toBeGreaterThan(1);
    expect(fit.overheadMs).toBeLessThan(8);
  });

  it('says so where no limit shows', () => {
    const open = fitProbe(runOf(answered(knownArgs, 2)));
    expect(open.limits.maxNumSeqs).toBeUndefined();
    expect(open.limits.mostSeen).toBeGreaterThanOrEqual(7);
    expect(open.undetermined.join('\n')).toContain('how many sequences it computes at a time: at least');
  });

  it('always says what a probing run cannot see', () => {
    expect(fit.undetermined.join('\n')).toContain('KV cache');
    expect(fit.undetermined.join('\n')).toContain('work of the host');
  });
});

describe('the plan of a probing run', () => {
  it('stays within its bounds and is the same for the same seed', () => {
    const options = { mostTokensIn: 300, mostTokensOut: 20, mostConcurrency: 6, repeats: 3 };
    const plan = planProbe({ ...options, random: randomOf(5) });
    expect(plan).toEqual(planProbe({ ...options, random: randomOf(5) }));
    const requests = plan.flatMap((round) => round.requests);
    expect(Math.max(...requests.map(({ tokensIn }) => tokensIn))).toBe(300);
    expect(Math.max(...requests.map(({ tokensOut }) => tokensOut))).toBe(20);
    for (const { requests: together, workers } of plan) expect(workers ?? together.length).toBeLessThanOrEqual(6);
  });
});

describe('probing over HTTP', () => {
  const open: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });
  const listen = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  };
  const serve = async (answer: (body: { [key: string]: unknown }) => { status: number; text: string }) => {
    const seen: { [key: string]: unknown }[] = [];
    const server = createServer(async (request, response) => {
      let text = '';
      for await (const piece of request) text += piece;
      const body = JSON.parse(text) as { [key: string]: unknown };
      seen.push(body);
      const { status, text: reply } = answer(body);
      response.writeHead(status, { 'content-type': 'text/event-stream' });
      response.end(reply);
    });
    open.push({ close: () => new Promise((resolve) => server.close(resolve)) });
    return { url: await listen(server), seen };
  };
  const probe = (url: string, limitMs = 20_000) =>
    probeEndpoint({
      endpoint: { url, model: 'main' },
      mostTokensIn: 64,
      mostTokensOut: 8,
      mostConcurrency: 2,
      repeats: 1,
      limitMs,
      random: randomOf(3),
      signal: new AbortController().signal,
    });

  it('reads lengths and times of a real model server', async () => {
    const model: ModelServer = createModelServer('model-main', { model: 'main', stepFixedMs: 1, tokensPerChunk: 1 });
    open.push({ close: () => model.close(0) });
    const run = await probe(await listen(model.server));
    expect(run.failed).toBe(0);
    expect(run.rounds).toHaveLength(run.planned);
    for (const { requests } of run.rounds)
      for (const { sentMs, firstMs, lastMs, tokensIn, tokensOut } of requests) {
        expect(firstMs).toBeGreaterThan(sentMs);
        expect(lastMs).toBeGreaterThanOrEqual(firstMs);
        expect(tokensIn).toBeGreaterThan(4);
        expect(tokensOut).toBeGreaterThan(0);
      }
    expect(fitProbe(run).compared).toBe(run.rounds.flatMap((round) => round.requests).length);
  }, 30_000);

  it('asks in other words where an endpoint refuses the first', async () => {
    const stream =
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n';
    const { url, seen } = await serve((body) =>
      'max_completion_tokens' in body ? { status: 200, text: stream } : { status: 400, text: '{"error":{"message":"unknown field"}}' },
    );
    const run = await probe(url);
    expect(run.words).toBe('max_completion_tokens');
    expect(seen.slice(0, 2).map((body) => 'ignore_eos' in body)).toEqual([true, false]);
  });

  it('names what an endpoint lacks, and how it answered', async () => {
    const counted = await serve(() => ({ status: 200, text: 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' }));
    await expect(probe(counted.url)).rejects.toThrow('does not say how many tokens');
    const closed = await serve(() => ({ status: 401, text: '{"error":{"message":"no key"}}' }));
    await expect(probe(closed.url)).rejects.toThrow(/401.*no key/);
    await expect(probe('http://127.0.0.1:1/v1')).rejects.toThrow('could not be asked');
  });

  it('begins no round after its time, so an end comes', async () => {
    const stream =
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n';
    const { url } = await serve(() => ({ status: 200, text: stream }));
    await expect(probe(url, -1)).rejects.toThrow('answered no round');
  });
});
