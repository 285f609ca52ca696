import { deriveSeed } from '../../compiler/contracts/random.ts';
import { digamma, gammaCdf, ksDistance, logGamma, trigamma } from './distributions.ts';
import { fitMmpp, mmppGapCdf, mostGaps } from './mmpp.ts';
import { atRate, type DrawnArrivals, drawTimes, meanRate } from './processes.ts';

/** One process fitted to a log, and how far from it it is. */
export interface ArrivalFit {
  readonly arrivals: DrawnArrivals;
  readonly logLikelihood: number;
  /** Bayes' information criterion (Schwarz 1978): the smallest is the best after paying for its parameters. */
  readonly bic: number;
  /** Largest distance between the distributions of the log's gaps and the process's. */
  readonly ksDistance: number;
  /** By window of the log's `dispersion`: what logs of the same length drawn from the process show, the middle and nine tenths. */
  readonly dispersion: readonly { readonly p50: number; readonly p05: number; readonly p95: number }[];
}

export interface ArrivalReport {
  readonly arrivals: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Standard deviation of the gaps over their mean. */
  readonly cv: number;
  /** Variance over mean of the counts in windows of this length; 1 for Poisson at every length. */
  readonly dispersion: readonly { readonly windowMs: number; readonly index: number }[];
  /** Distance beyond which a sample of this size is not from a given distribution, at 5 % (Kolmogorov: 1.358/√n). */
  readonly ksCritical: number;
  /** Best first. */
  readonly fits: readonly ArrivalFit[];
  /** Processes that could not be fitted, and why. */
  readonly left: readonly { readonly process: string; readonly reason: string }[];
}

/** The relative standard error of a fitted shape is about √(2/n): a fifth here, and beyond use below. */
export const fewestGaps = 50;
/** Twice the parameters of a gamma process, and each of them rests on stretches of many gaps. */
export const fewestGapsMmpp = 200;
/** The mean of n exponential stays has a relative standard error of 1/√n: below this its sojourns are a guess. */
export const fewestBursts = 10;

/** Fits processes to ascending arrival times in ms. Throws a RangeError when there are too few to say anything. */
export function fitArrivals(timesMs: readonly number[], seed: number): ArrivalReport {
  const gaps = timesMs.slice(1).map((time, i) => time - (timesMs[i] as number));
  const spanMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0);
  if (gaps.length < fewestGaps || spanMs <= 0) {
    const what = spanMs <= 0 && gaps.length > 0 ? 'all at one moment' : `${timesMs.length} arrivals`;
    throw new RangeError(`${what}: too short to fit; at least ${fewestGaps + 1} arrivals at different times are needed`);
  }
  const mean = spanMs / gaps.length;
  const cv = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / (gaps.length - 1)) / mean;
  const windows = windowsFor(spanMs, mean);
  const left: { process: string; reason: string }[] = [];
  const perSecond = 1000 / mean;
  const candidates: { arrivals: DrawnArrivals; logLikelihood: number; parameters: number; cdf: (ms: number) => number }[] = [
    {
      arrivals: { process: 'poisson', perSecond },
      logLikelihood: gaps.length * (Math.log(perSecond) - 1),
      parameters: 1,
      cdf: (ms) => 1 - Math.exp(-ms / mean),
    },
  ];
  const resolutionMs = resolutionOf(gaps);
  const shape = gammaShape(gaps, mean, resolutionMs);
  if (resolutionMs > coarsest * mean) left.push({ process: 'gamma', reason: `times in steps of ${resolutionMs} ms hide most gaps` });
  else if (shape === undefined) left.push({ process: 'gamma', reason: 'all gaps are the same: use constant' });
  else
    candidates.push({
      arrivals: { process: 'gamma', perSecond, cv: 1 / Math.sqrt(shape) },
      logLikelihood: gammaLogLikelihood(gaps, shape, mean, resolutionMs),
      parameters: 2,
      cdf: (ms) => gammaCdf(shape, (ms / mean) * shape),
    });
  if (gaps.length < fewestGapsMmpp) left.push({ process: 'mmpp', reason: `${gaps.length} gaps are too few: it takes ${fewestGapsMmpp}` });
  else {
    const { arrivals, logLikelihood } = fitMmpp(gaps);
    const [calm, burst] = arrivals.states;
    const bursts = spanMs / (calm.meanMs + burst.meanMs);
    // A stay without a whole arrival in it is a way of shaping gaps, and no burst anyone could see.
    if ((burst.perSecond * burst.meanMs) / 1000 < 1 || bursts > gaps.length)
      left.push({ process: 'mmpp', reason: 'the log has no stretches that are busier than others' });
    else if (bursts < fewestBursts)
      left.push({ process: 'mmpp', reason: `the log holds about ${bursts.toFixed(1)} bursts of it: it takes ${fewestBursts}` });
    else {
      // The likelihood is of the first gaps of a long log; the rate is the whole log's.
      const whole = atRate(arrivals, perSecond / meanRate(arrivals));
      const scaled = logLikelihood * (gaps.length / Math.min(gaps.length, mostGaps));
      candidates.push({ arrivals: whole, logLikelihood: scaled, parameters: 4, cdf: mmppGapCdf(whole) });
    }
  }
  const fits = candidates.map(({ arrivals, logLikelihood, parameters, cdf }) => ({
    arrivals,
    logLikelihood,
    bic: parameters * Math.log(gaps.length) - 2 * logLikelihood,
    ksDistance: ksDistance(gaps, cdf),
    dispersion: drawnDispersion(arrivals, spanMs, windows, seed),
  }));
  return {
    arrivals: timesMs.length,
    seconds: spanMs / 1000,
    perSecond,
    cv,
    dispersion: windows.map((windowMs) => ({ windowMs, index: dispersionIndex(timesMs, windowMs, timesMs[0] ?? 0, spanMs) })),
    ksCritical: 1.358 / Math.sqrt(gaps.length),
    fits: fits.sort((a, b) => a.bic - b.bic),
    left,
  };
}

/** What times are told in: whole seconds or milliseconds, or at best microseconds. */
const resolutionsMs = [1_000, 1, 0.001] as const;
const finestMs = 0.001;
const resolutionOf = (gaps: readonly number[]): number =>
  resolutionsMs.find((step) => gaps.every((gap) => Math.abs(gap / step - Math.round(gap / step)) < 1e-6)) ?? finestMs;
/** Steps above this share of the mean gap say too little of short gaps. */
const coarsest = 0.25;
const mostRounds = 100;

/**
 * Shape of the gamma distribution under which the gaps are most likely: ln k − ψ(k) = ln mean − mean of ln, solved by Newton's
 * method from Minka's start (Minka 2002, Estimating a Gamma distribution). Of gaps below the resolution only that is known:
 * there the density is a power, under which ln gap is ln resolution − 1/k in the mean (Dempster et al. 1977: the E of EM).
 * Undefined when all gaps are the same.
 */
export function gammaShape(gaps: readonly number[], mean: number, resolutionMs: number): number | undefined {
  const seen = gaps.filter((gap) => gap >= resolutionMs);
  const hidden = gaps.length - seen.length;
  const logs = seen.reduce((sum, gap) => sum + Math.log(gap), 0) + hidden * Math.log(resolutionMs);
  const s = Math.log(mean) - logs / gaps.length;
  if (!(s > 1e-9)) return undefined;
  let shape = shapeOf(s);
  for (let round = 0; hidden > 0 && round < mostRounds; round++) {
    const next = shapeOf(s + hidden / gaps.length / shape);
    if (Math.abs(next - shape) < 1e-9 * shape) break;
    shape = next;
  }
  return shape;
}

/** Solves ln k − ψ(k) = s. */
function shapeOf(s: number): number {
  let shape = (3 - s + Math.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s);
  for (let i = 0; i < 20; i++) {
    const next = 1 / (1 / shape + (Math.log(shape) - digamma(shape) - s) / (shape * shape * (1 / shape - trigamma(shape))));
    if (!(next > 0)) break;
    if (Math.abs(next - shape) < 1e-10 * shape) return next;
    shape = next;
  }
  return shape;
}

/** In gaps of seconds, as all likelihoods here; below the resolution by the mean density there. */
function gammaLogLikelihood(gaps: readonly number[], shape: number, meanMs: number, resolutionMs: number): number {
  const scale = meanMs / 1000 / shape;
  const fixed = -shape * Math.log(scale) - logGamma(shape);
  const step = resolutionMs / 1000;
  const hidden = Math.log(gammaCdf(shape, step / scale) / step);
  return gaps.reduce((sum, gap) => {
    const x = gap / 1000;
    return sum + (gap < resolutionMs ? hidden : fixed + (shape - 1) * Math.log(x) - x / scale);
  }, 0);
}

/** Lengths a reader knows, where the log has enough windows and a window more than a few arrivals. */
const readableWindowsMs = [100, 1_000, 10_000, 60_000, 300_000, 3_600_000];
const fewestWindows = 20;
const fewestPerWindow = 2;
const windowsFor = (spanMs: number, meanGapMs: number) =>
  readableWindowsMs.filter((windowMs) => spanMs / windowMs >= fewestWindows && windowMs / meanGapMs >= fewestPerWindow);

/** Index of dispersion for counts: variance over mean of the arrivals per whole window. */
export function dispersionIndex(timesMs: readonly number[], windowMs: number, fromMs: number, spanMs: number): number {
  const counts = new Float64Array(Math.floor(spanMs / windowMs));
  for (const time of timesMs) {
    const slot = Math.floor((time - fromMs) / windowMs);
    if (slot >= 0 && slot < counts.length) counts[slot] = (counts[slot] as number) + 1;
  }
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (counts.length - 1) / mean;
}

const drawnLogs = 21;

function drawnDispersion(arrivals: DrawnArrivals, spanMs: number, windows: readonly number[], seed: number): ArrivalFit['dispersion'] {
  const drawn = Array.from({ length: drawnLogs }, (_, k) => {
    const times: number[] = [];
    for (const time of drawTimes(arrivals, deriveSeed(seed, 'dispersion', k))) {
      if (time >= spanMs) break;
      times.push(time);
    }
    return windows.map((windowMs) => dispersionIndex(times, windowMs, 0, spanMs));
  });
  return windows.map((_, i) => {
    const sorted = drawn.map((row) => row[i] ?? Number.NaN).sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
    return { p50: at(0.5), p05: at(0.05), p95: at(0.95) };
  });
}
