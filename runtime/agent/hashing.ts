import { fnv1a } from '../../compiler/contracts/random.ts';

/** FNV-1a, then the finalizer of MurmurHash3 (Austin Appleby, public domain): FNV alone mixes the last characters badly. */
export function hash32(text: string): number {
  let h = fnv1a(text);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The candidates in the order of highest random weight for a key: the first is the choice, the next takes over when it
 * is gone, and other keys do not move (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
 */
export function rendezvous<T>(key: string, candidates: readonly T[], name: (candidate: T) => string | number): T | undefined {
  let best: T | undefined;
  let bestWeight = -1;
  for (const candidate of candidates) {
    const weight = hash32(`${name(candidate)}\u0000${key}`);
    if (weight > bestWeight) {
      best = candidate;
      bestWeight = weight;
    }
  }
  return best;
}

/** Whether a request is traced: the same for one id in every layout and run, with probability `ratio` over ids. */
export function sampledAt(requestId: string, ratio: number): boolean {
  return ratio >= 1 || (ratio > 0 && hash32(requestId) < ratio * 2 ** 32);
}
