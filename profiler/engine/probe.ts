import { setMaxListeners } from 'node:events';
import { Agent } from 'undici';
import { fail } from '../../compiler/contracts/index.ts';
import { type ProbeRound, planProbe } from './probe-plan.ts';
import { type LengthWords, lengthWords, type ProbeEndpoint, type StreamTimes, watchStream } from './probe-stream.ts';

export interface ProbeOptions {
  readonly endpoint: ProbeEndpoint;
  readonly mostTokensIn: number;
  readonly mostTokensOut: number;
  readonly mostConcurrency: number;
  readonly repeats: number;
  /** No round begins after this long. */
  readonly limitMs: number;
  /** A uniform number from 0 up to 1, from a seed. */
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly onRound?: (done: number, of: number, name: string) => void;
}

/** A request of the probing run as it went. */
export interface ProbedRequest extends StreamTimes {
  readonly tokensIn: number;
  readonly tokensOut: number;
}

export interface ProbedRound {
  readonly name: string;
  readonly requests: readonly ProbedRequest[];
}

export interface ProbeRun {
  readonly rounds: readonly ProbedRound[];
  readonly planned: number;
  readonly failed: number;
  readonly words: LengthWords;
}

/** Asks an endpoint what the plan says and keeps when each reply came. Bounded in requests by the plan and in time by `limitMs`. */
export async function probeEndpoint(options: ProbeOptions): Promise<ProbeRun> {
  const { endpoint, mostConcurrency, random, signal } = options;
  const asker = await openAsker({ endpoint, connections: mostConcurrency + 4, random, signal });
  try {
    const plan = planProbe(options);
    const started = performance.now();
    const rounds: ProbedRound[] = [];
    let failed = 0;
    for (const [index, round] of plan.entries()) {
      if (performance.now() - started > options.limitMs || signal.aborted) break;
      options.onRound?.(index, plan.length, round.name);
      const outcomes = await runRound(round, asker.ask);
      const requests = outcomes.filter((outcome) => outcome !== undefined);
      failed += round.requests.length - requests.length;
      // What failed had a part in the batches of the others.
      if (requests.length === round.requests.length) rounds.push({ name: round.name, requests });
    }
    if (rounds.length === 0) fail('DMAS_MODEL_PROBE', `${endpoint.url} answered no round of the probing run in full`);
    return { rounds, planned: plan.length, failed, words: asker.words };
  } finally {
    await asker.close();
  }
}

/** Asks once for about so many tokens; undefined when it failed. What was counted is in the answer. */
export type Ask = (tokensIn: number, tokensOut: number) => Promise<ProbedRequest | undefined>;

export interface Asker {
  readonly ask: Ask;
  readonly words: LengthWords;
  close(): Promise<void>;
}

export interface AskerOptions {
  readonly endpoint: ProbeEndpoint;
  readonly connections: number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

async function runRound(round: ProbeRound, ask: Ask): Promise<(ProbedRequest | undefined)[]> {
  if (round.workers === undefined)
    return Promise.all(
      round.requests.map(async ({ tokensIn, tokensOut, afterMs }) => {
        if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
        return ask(tokensIn, tokensOut);
      }),
    );
  const results: (ProbedRequest | undefined)[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < round.requests.length; index = next++) {
      const { tokensIn, tokensOut } = round.requests[index] ?? { tokensIn: 1, tokensOut: 1 };
      results[index] = await ask(tokensIn, tokensOut);
    }
  };
  await Promise.all(Array.from({ length: round.workers }, worker));
  return results;
}

/**
 * First words: which way of fixing the length of a reply the endpoint takes, whether it counts tokens, and how many tokens a
 * word of our prompts has. Prompts begin with a word of their own, so that no prefix cache knows them.
 */
export async function openAsker({ endpoint, connections, random, signal }: AskerOptions): Promise<Asker> {
  const dispatcher = new Agent({ connections, bodyTimeout: patienceMs, headersTimeout: patienceMs });
  // Every request in flight listens to it.
  setMaxListeners(0, signal);
  const close = () => dispatcher.close().catch(() => dispatcher.destroy());
  try {
    return { ...(await acquaint(endpoint, dispatcher, random, signal)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** An endpoint that is silent for longer is given up. */
const patienceMs = 120_000;

async function acquaint(
  endpoint: ProbeEndpoint,
  dispatcher: Agent,
  random: () => number,
  signal: AbortSignal,
): Promise<Omit<Asker, 'close'>> {
  let asked = 0;
  const promptOf = (words: number) => {
    asked++;
    const own = `${Math.floor(random() * 36 ** 6).toString(36)}${asked}`;
    return [own, ...Array.from({ length: Math.max(0, words - 1) }, () => vocabulary[Math.floor(random() * vocabulary.length)])].join(' ');
  };
  const refused: string[] = [];
  for (const words of lengthWords) {
    const counted: { words: number; tokens: number }[] = [];
    for (const size of [8, 64, 128]) {
      const outcome = await watchStream(endpoint, { prompt: promptOf(size), tokensOut: 4, words }, dispatcher, signal).catch(
        (cause: Error) =>
          fail('DMAS_MODEL_PROBE', `${endpoint.url} could not be asked: ${cause.message}`, {
            cause,
            fix: 'Check the URL; it goes up to and with /v1.',
          }),
      );
      if ('status' in outcome) {
        if (outcome.status !== 400 && outcome.status !== 422)
          fail('DMAS_MODEL_PROBE', `${endpoint.url} answered ${outcome.status}: ${outcome.message}`, {
            fix: 'The probing run needs streamed chat completions under this model name.',
          });
        refused.push(`${words}: ${outcome.message}`);
        break;
      }
      if (outcome.times.tokensIn === undefined || outcome.times.tokensOut === undefined)
        fail('DMAS_MODEL_PROBE', `${endpoint.url} does not say how many tokens it counted`, {
          fix: 'An endpoint that sends usage with stream_options.include_usage is needed.',
        });
      counted.push({ words: size, tokens: outcome.times.tokensIn });
    }
    const [small, , large] = counted;
    if (!small || !large) continue;
    const perWord = Math.max(0.1, (large.tokens - small.tokens) / (large.words - small.words));
    const fixed = Math.max(0, small.tokens - perWord * small.words);
    const ask: Ask = async (tokensIn, tokensOut) => {
      const prompt = promptOf(Math.max(1, Math.round((tokensIn - fixed) / perWord)));
      const outcome = await watchStream(endpoint, { prompt, tokensOut, words }, dispatcher, signal).catch(() => undefined);
      if (!outcome || 'status' in outcome) return undefined;
      const { times } = outcome;
      return { ...times, tokensIn: times.tokensIn ?? tokensIn, tokensOut: times.tokensOut ?? times.piecesMs.length };
    };
    return { words, ask };
  }
  return fail('DMAS_MODEL_PROBE', `${endpoint.url} refuses every way of limiting a reply: ${refused.join('; ')}`);
}

const vocabulary = 'time river stone cloud market paper engine garden window summer letter bridge winter orange silver forest'.split(' ');
