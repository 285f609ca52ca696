import { createRandom, type Random } from '../../compiler/contracts/index.ts';
import { type Looks, pairedInterval } from '../../profiler/stats/paired.ts';

/** Differences of paired blocks around a true mean of zero. */
export const noises: { readonly [name: string]: (random: Random) => number } = {
  normal: (random) => normal(random),
  'Student t, 3 degrees of freedom': (random) =>
    normal(random) / Math.sqrt((normal(random) ** 2 + normal(random) ** 2 + normal(random) ** 2) / 3),
  Laplace: (random) => random.exponential(1) - random.exponential(1),
  /** One block in ten meets a pause of the machine, in either arm. */
  'one in ten ten times as wide': (random) => normal(random) * (random.next() < 0.1 ? 10 : 1),
  /** Skewed: the hardest case for few pairs; a latency ratio rarely is, since a pause may hit either arm. */
  'log-normal, skewed': (random) => Math.exp(0.5 * normal(random)) - Math.exp(0.125),
};

/** Standard normal by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Share of simulated studies whose interval covered zero at every look after `minRounds`, …, `maxRounds` pairs. */
export function coverage(input: {
  readonly noise: (random: Random) => number;
  readonly minRounds: number;
  readonly maxRounds: number;
  readonly looks: Looks;
  readonly repeats: number;
  readonly seed: number;
}): number {
  const random = createRandom(input.seed);
  let covered = 0;
  for (let repeat = 0; repeat < input.repeats; repeat++) {
    const differences = Array.from({ length: input.maxRounds }, () => input.noise(random));
    let held = true;
    for (let n = input.minRounds; n <= input.maxRounds; n++) {
      const { low, high } = pairedInterval(differences.slice(0, n), 0.95, input.looks);
      if (low > 0 || high < 0) held = false;
    }
    if (held) covered += 1;
  }
  return covered / input.repeats;
}
