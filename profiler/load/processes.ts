import { createRandom, type Random } from '../../compiler/contracts/random.ts';
import { gammaVariate } from './distributions.ts';

/** Open-loop arrivals that are drawn, not recorded. */
export type DrawnArrivals =
  | { readonly process: 'constant' | 'poisson'; readonly perSecond: number }
  /** Independent gaps, gamma distributed; `cv` is their standard deviation over their mean: 1 is Poisson, above it comes in bursts. */
  | { readonly process: 'gamma'; readonly perSecond: number; readonly cv: number }
  | MmppArrivals;

/** Poisson arrivals whose rate switches between two values; a stay in either is exponential with mean `meanMs`. */
export interface MmppArrivals {
  readonly process: 'mmpp';
  readonly states: readonly [MmppState, MmppState];
}

export interface MmppState {
  readonly perSecond: number;
  readonly meanMs: number;
}

/** Arrivals per second in the long run. */
export function meanRate(arrivals: DrawnArrivals): number {
  if (arrivals.process !== 'mmpp') return arrivals.perSecond;
  const [a, b] = arrivals.states;
  return (a.perSecond * a.meanMs + b.perSecond * b.meanMs) / (a.meanMs + b.meanMs);
}

/** The same process at another rate; bursts last as long as before. */
export function atRate<T extends DrawnArrivals>(arrivals: T, factor: number): T {
  if (arrivals.process !== 'mmpp') return { ...arrivals, perSecond: arrivals.perSecond * factor };
  const [a, b] = arrivals.states;
  return {
    ...arrivals,
    states: [
      { ...a, perSecond: a.perSecond * factor },
      { ...b, perSecond: b.perSecond * factor },
    ],
  };
}

/**
 * Times from 0, ascending, without end, in ms; the driver and the predictor draw the same ones from the same seed. All
 * processes are stationary from the start: the first gap of a gamma process and the first state of a modulated one are
 * drawn as an observer who comes at a random moment finds them, else short blocks would get too many arrivals.
 */
export function* drawTimes(arrivals: DrawnArrivals, seed: number): Generator<number, never> {
  const random = createRandom(seed);
  switch (arrivals.process) {
    case 'constant': {
      // A seeded phase, so that two constant classes do not beat in step.
      const gapMs = 1000 / arrivals.perSecond;
      const phase = random.next() * gapMs;
      for (let k = 0; ; k++) yield phase + k * gapMs;
    }
    case 'poisson': {
      const gapMs = 1000 / arrivals.perSecond;
      for (let time = random.exponential(gapMs); ; time += random.exponential(gapMs)) yield time;
    }
    case 'gamma':
      return yield* gammaTimes(arrivals.perSecond, arrivals.cv, random);
    case 'mmpp':
      return yield* mmppTimes(arrivals, random);
  }
}

/** What is left of the gap a random moment falls into is a uniform share of a length-biased gap, which is a gamma of shape + 1. */
function* gammaTimes(perSecond: number, cv: number, random: Random): Generator<number, never> {
  const shape = 1 / (cv * cv);
  const scaleMs = 1000 / perSecond / shape;
  for (let time = random.next() * gammaVariate(random, shape + 1) * scaleMs; ; time += gammaVariate(random, shape) * scaleMs) yield time;
}

function* mmppTimes({ states }: MmppArrivals, random: Random): Generator<number, never> {
  let now = 0;
  let state: 0 | 1 = random.next() * (states[0].meanMs + states[1].meanMs) < states[0].meanMs ? 0 : 1;
  for (;;) {
    const { perSecond, meanMs } = states[state];
    const untilMs = now + random.exponential(meanMs);
    // Gaps have no memory, so one that reaches beyond its stay is dropped and drawn anew in the next.
    if (perSecond > 0)
      for (let time = now + random.exponential(1000 / perSecond); time < untilMs; time += random.exponential(1000 / perSecond)) yield time;
    now = untilMs;
    state = state === 0 ? 1 : 0;
  }
}
