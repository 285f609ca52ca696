import { minimize } from './nelder-mead.ts';
import type { MmppArrivals } from './processes.ts';

/** Rates per second: of arrivals in both states, and of leaving each. */
interface Rates {
  readonly arrive: readonly [number, number];
  readonly leave: readonly [number, number];
}

const ratesOf = ({ states: [a, b] }: MmppArrivals): Rates => ({
  arrive: [a.perSecond, b.perSecond],
  leave: [1000 / a.meanMs, 1000 / b.meanMs],
});

/**
 * exp(M·x) for M = Q − Λ, the generator without arrivals: by its two eigenvalues, which are real and negative. Returned row
 * by row, times e^(−larger eigenvalue·x), whose exponent comes last, so that long gaps do not underflow.
 */
function silence({ arrive, leave }: Rates) {
  const a = -(leave[0] + arrive[0]);
  const d = -(leave[1] + arrive[1]);
  const root = Math.sqrt((a - d) ** 2 + 4 * leave[0] * leave[1]);
  const larger = (a + d + root) / 2;
  return (seconds: number): readonly [number, number, number, number, number] => {
    const small = Math.exp(-root * seconds);
    const both = (1 - small) / (root || 1);
    const smaller = larger - root;
    return [
      (a - smaller - (a - larger) * small) / root,
      leave[0] * both,
      leave[1] * both,
      (d - smaller - (d - larger) * small) / root,
      larger * seconds,
    ];
  };
}

/** Probabilities of the states as an arrival finds them. */
function seenByArrivals({ arrive, leave }: Rates): [number, number] {
  const first = leave[1] * arrive[0];
  const second = leave[0] * arrive[1];
  return [first / (first + second), second / (first + second)];
}

/** Distribution of the gap after any arrival, in ms. Source: Fischer and Meier-Hellstern 1993, Performance Evaluation 18. */
export function mmppGapCdf(arrivals: MmppArrivals): (ms: number) => number {
  const rates = ratesOf(arrivals);
  const quiet = silence(rates);
  const [p, q] = seenByArrivals(rates);
  return (ms) => {
    if (ms <= 0) return 0;
    const [aa, ab, ba, bb, exponent] = quiet(ms / 1000);
    return 1 - (p * (aa + ab) + q * (ba + bb)) * Math.exp(exponent);
  };
}

/** Variance over mean of the number of arrivals in a window (Heffes and Lucantoni 1986, IEEE JSAC 4). */
export function mmppDispersion(arrivals: MmppArrivals, windowMs: number): number {
  const { arrive, leave } = ratesOf(arrivals);
  const r = leave[0] + leave[1];
  const t = windowMs / 1000;
  const limit = (2 * (arrive[0] - arrive[1]) ** 2 * leave[0] * leave[1]) / (r * r * (arrive[0] * leave[1] + arrive[1] * leave[0]));
  return 1 + limit * (1 - (1 - Math.exp(-r * t)) / (r * t));
}

/** Logarithm of the likelihood of gaps in seconds, by the forward recursion over them (Meier-Hellstern 1987, EJOR 29). */
export function mmppLogLikelihood(rates: Rates, gaps: Float64Array): number {
  const quiet = silence(rates);
  let [p, q] = seenByArrivals(rates);
  let sum = 0;
  for (const gap of gaps) {
    const [aa, ab, ba, bb, exponent] = quiet(gap);
    const first = (p * aa + q * ba) * rates.arrive[0];
    const second = (p * ab + q * bb) * rates.arrive[1];
    const total = first + second;
    if (!(total > 0)) return Number.NEGATIVE_INFINITY;
    sum += Math.log(total) + exponent;
    p = first / total;
    q = second / total;
  }
  return sum;
}

/** Mean gaps per window by which the first guesses tell busy stretches from calm ones. */
const guessWindows = [5, 30, 200];
const searchSteps = 250;
const refineSteps = 600;
/** Differences of the log-likelihood that are noise: far below the 0.5 per parameter of a standard error. */
const tolerance = 1e-3;
/** Gaps the likelihood is computed over: more than this make it slow and the parameters hardly sharper. */
export const mostGaps = 20_000;

/**
 * The two-state process under which gaps in ms are most likely; the calmer state comes first. A numerical search from three
 * guesses (busy and calm windows of three lengths), as the likelihood has several peaks.
 */
export function fitMmpp(gapsMs: readonly number[]): { readonly arrivals: MmppArrivals; readonly logLikelihood: number } {
  const gaps = Float64Array.from(gapsMs.slice(0, mostGaps), (ms) => ms / 1000);
  const cost = (x: readonly number[]) => -mmppLogLikelihood(fromLogs(x), gaps);
  const guesses = guessWindows.map((window) => minimize(cost, guess(gaps, window), searchSteps, tolerance));
  const [first] = guesses.sort((a, b) => a.value - b.value);
  const { x, value } = minimize(cost, first?.x ?? guess(gaps, 1), refineSteps, tolerance);
  const { arrive, leave } = fromLogs(x);
  const states = [0, 1]
    .map((i) => ({ perSecond: arrive[i] ?? 0, meanMs: 1000 / (leave[i] ?? 1) }))
    .sort((a, b) => a.perSecond - b.perSecond);
  const [calm, burst] = states;
  if (!calm || !burst) throw new RangeError('no states');
  return { arrivals: { process: 'mmpp', states: [calm, burst] }, logLikelihood: -value };
}

const fromLogs = ([a = 0, b = 0, c = 0, d = 0]: readonly number[]): Rates => ({
  arrive: [Math.exp(a), Math.exp(b)],
  leave: [Math.exp(c), Math.exp(d)],
});

function guess(gaps: Float64Array, gapsPerWindow: number): number[] {
  const total = gaps.reduce((sum, gap) => sum + gap, 0);
  const window = (total / gaps.length) * gapsPerWindow;
  const counts: number[] = new Array(Math.max(2, Math.floor(total / window))).fill(0);
  let at = 0;
  for (const gap of gaps) {
    at += gap;
    const slot = Math.min(counts.length - 1, Math.floor(at / window));
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  const busy = counts.map((count) => count > gapsPerWindow);
  const rate = (which: boolean) => {
    const own = counts.filter((_, i) => busy[i] === which);
    return Math.max(0.1 / window, own.reduce((sum, count) => sum + count, 0) / Math.max(1, own.length) / window);
  };
  const switches = Math.max(1, busy.filter((now, i) => i > 0 && now !== busy[i - 1]).length / 2);
  const leave = (which: boolean) => switches / Math.max(1, busy.filter((one) => one === which).length) / window;
  return [rate(false), rate(true) * 1.05, leave(false), leave(true)].map(Math.log);
}
