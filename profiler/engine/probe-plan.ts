/** One request of a probing run: sent `afterMs` after its round began, or by a worker of the round in turn. */
export interface ProbeRequest {
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly afterMs: number;
}

/** Requests that are in flight together; a round begins when the one before has ended. */
export interface ProbeRound {
  readonly name: string;
  readonly requests: readonly ProbeRequest[];
  /** Given: that many are in flight at a time, in order; else each is sent at its time. */
  readonly workers?: number;
}

export interface ProbePlanOptions {
  /** Longest prompt to ask for. */
  readonly mostTokensIn: number;
  /** Longest reply to ask for. */
  readonly mostTokensOut: number;
  /** Most requests in flight. */
  readonly mostConcurrency: number;
  /** How often each round is measured. */
  readonly repeats: number;
  readonly random: () => number;
}

/**
 * What to ask so that every coefficient shows: prompts of rising length alone (prefill), replies alone (decode), replies
 * together in rising numbers (batch, sequence slots), long prompts while others decode (chunks), and a mix of all. Rounds
 * are repeated and shuffled, so that a slow spell of the machine does not fall on one of them.
 */
export function planProbe(options: ProbePlanOptions): ProbeRound[] {
  const { mostTokensIn, mostTokensOut, mostConcurrency, repeats, random } = options;
  const lengths = doublings(16, mostTokensIn, 4);
  const numbers = doublings(2, mostConcurrency, 2);
  const short = Math.min(24, mostTokensIn);
  const between = (low: number, high: number) => Math.round(low * (high / low) ** random());
  const mixed = (count: number): ProbeRequest[] =>
    Array.from({ length: count }, () => ({
      tokensIn: between(Math.min(16, mostTokensIn), mostTokensIn),
      tokensOut: between(Math.min(4, mostTokensOut), mostTokensOut),
      afterMs: 0,
    }));
  const rounds: ProbeRound[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const tokensIn of lengths)
      rounds.push({ name: `prompt of ${tokensIn}`, requests: [{ tokensIn, tokensOut: Math.min(8, mostTokensOut), afterMs: 0 }] });
    rounds.push({ name: 'one reply', requests: [{ tokensIn: short, tokensOut: mostTokensOut, afterMs: 0 }] });
    for (const number of numbers) {
      const tokensOut = Math.max(4, Math.round(mostTokensOut / 2));
      rounds.push({
        name: `${number} replies`,
        requests: Array.from({ length: number }, () => ({ tokensIn: between(short, Math.min(128, mostTokensIn)), tokensOut, afterMs: 0 })),
      });
    }
    rounds.push({
      name: 'long prompts beside replies',
      requests: [
        { tokensIn: short, tokensOut: mostTokensOut, afterMs: 0 },
        { tokensIn: short, tokensOut: mostTokensOut, afterMs: 0 },
        { tokensIn: mostTokensIn, tokensOut: 4, afterMs: 150 },
        { tokensIn: Math.ceil(mostTokensIn / 2), tokensOut: 4, afterMs: 300 },
      ],
    });
    for (const workers of [...new Set([2, Math.ceil(mostConcurrency / 2), mostConcurrency])])
      rounds.push({ name: `mix of ${workers}`, requests: mixed(workers * 3), workers });
  }
  return shuffled(rounds, random);
}

function doublings(from: number, to: number, factor: number): number[] {
  const list: number[] = [];
  for (let value = Math.min(from, to); value < to; value *= factor) list.push(value);
  return [...list, to];
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}
