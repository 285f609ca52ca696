import type { Random } from '../../compiler/contracts/random.ts';

/** Standard normal (Box and Muller 1958, Annals of Mathematical Statistics 29). */
export const normal = (random: Random): number => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());

/** Gamma with the given shape and scale 1 (Marsaglia and Tsang 2000, ACM TOMS 26; shapes below 1 by their section 6). */
export function gammaVariate(random: Random, shape: number): number {
  // In logarithms: for small shapes the power underflows.
  if (shape < 1) return gammaVariate(random, shape + 1) * Math.exp(Math.log(1 - random.next()) / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

// Lanczos' coefficients for g = 7, n = 9 (Lanczos 1964, SIAM J. Numer. Anal. 1; values as tabulated by Godfrey 2001).
const lanczos: readonly number[] = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** Natural logarithm of the gamma function, for x > 0. */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  const series = lanczos.slice(1).reduce((sum, coefficient, i) => sum + coefficient / (x + i), lanczos[0] as number);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

/** Derivative of `logGamma` (Abramowitz and Stegun 6.3.5 and 6.3.18). */
export function digamma(x: number): number {
  let shifted = x;
  let result = 0;
  for (; shifted < 6; shifted++) result -= 1 / shifted;
  const f = 1 / (shifted * shifted);
  return result + Math.log(shifted) - 0.5 / shifted - f * (1 / 12 - f * (1 / 120 - f * (1 / 252 - f / 240)));
}

/** Derivative of `digamma` (Abramowitz and Stegun 6.4.6 and 6.4.12). */
export function trigamma(x: number): number {
  let shifted = x;
  let result = 0;
  for (; shifted < 6; shifted++) result += 1 / (shifted * shifted);
  const f = 1 / (shifted * shifted);
  return result + 1 / shifted + f / 2 + (f / shifted) * (1 / 6 - f * (1 / 30 - f * (1 / 42 - f / 30)));
}

const mostTerms = 10_000;
const precision = 1e-14;

/** Distribution function of the gamma distribution with scale 1 (Abramowitz and Stegun 6.5.29; 6.5.31 beyond its mean). */
export function gammaCdf(shape: number, x: number): number {
  if (x <= 0) return 0;
  const front = Math.exp(shape * Math.log(x) - x - logGamma(shape));
  if (x < shape + 1) {
    let term = 1 / shape;
    let sum = term;
    for (let n = 1; n < mostTerms && Math.abs(term) > Math.abs(sum) * precision; n++) {
      term *= x / (shape + n);
      sum += term;
    }
    return Math.min(1, sum * front);
  }
  // Lentz' evaluation of the continued fraction (Lentz 1976, Applied Optics 15).
  let b = x + 1 - shape;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let i = 1; i < mostTerms; i++) {
    const an = -i * (i - shape);
    b += 2;
    d = 1 / (an * d + b || 1e-300);
    c = b + an / c || 1e-300;
    const step = d * c;
    h *= step;
    if (Math.abs(step - 1) < precision) break;
  }
  return Math.max(0, 1 - front * h);
}

/** Distribution function of the standard normal, through the gamma one: erf(x) = P(1/2, x²). */
export const normalCdf = (x: number): number => 0.5 * (1 + Math.sign(x) * gammaCdf(0.5, (x * x) / 2));

/** Largest distance between the distribution of a sample and a given one (Kolmogorov 1933). */
export function ksDistance(sample: readonly number[], cdf: (x: number) => number): number {
  const sorted = Float64Array.from(sample).sort();
  const n = sorted.length;
  let most = 0;
  sorted.forEach((x, i) => {
    // Of equal values only the last says how many are up to there, and only the first how many are below.
    const at = cdf(x);
    if (sorted[i + 1] !== x) most = Math.max(most, (i + 1) / n - at);
    if (sorted[i - 1] !== x) most = Math.max(most, at - i / n);
  });
  return most;
}

/** Largest distance between the distributions of two samples (Smirnov 1948). */
export function ksDistance2(a: readonly number[], b: readonly number[]): number {
  const x = Float64Array.from(a).sort();
  const y = Float64Array.from(b).sort();
  let [i, j, most] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const at = Math.min(x[i] as number, y[j] as number);
    while (i < x.length && (x[i] as number) <= at) i++;
    while (j < y.length && (y[j] as number) <= at) j++;
    most = Math.max(most, Math.abs(i / x.length - j / y.length));
  }
  return most;
}
