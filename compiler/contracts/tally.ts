/**
 * Counts of what was answered where users call, kept always and by every gateway and ingress: cheap enough to need no
 * sampling, and free of content. Counters only grow while the process lives; whoever wants a stretch takes two and the
 * difference.
 */
export interface Tally {
  readonly classes: { readonly [requestClass: string]: ClassTally };
}

export interface ClassTally {
  /** Answered in any way, pauses and clients that went away included. */
  readonly requests: number;
  /** By call error code; requests with a right answer are in none. */
  readonly outcomes: { readonly [code: string]: number };
  /** Answered requests by their time from first byte in to last byte out: bucket → count (see `bucketOf`). */
  readonly latency: Buckets;
  /** The same to the first piece of a streamed answer. */
  readonly firstChunk: Buckets;
}
export type Buckets = { readonly [bucket: string]: number };

/** Requests that say no class. */
export const plainClass = 'default';

/** Buckets per doubling: each is 2^(1/16), so 4.4 %, wide. */
const perDoubling = 16;

/** Logarithmic buckets of times in milliseconds, as of HDR histograms: a constant relative error, no bounds to choose. */
export const bucketOf = (ms: number): number => Math.floor(Math.log2(Math.max(ms, 1e-3)) * perDoubling);
/** The shortest time of a bucket; the next bucket's is the end of it. */
export const bucketStartMs = (bucket: number): number => 2 ** (bucket / perDoubling);

/** Neither is a failure: a pause is an answer, and who went away got none by choice. */
const noFailures: ReadonlySet<string> = new Set(['inputRequired', 'cancelled']);

export const failuresOf = ({ outcomes }: ClassTally): number =>
  Object.entries(outcomes).reduce((sum, [code, count]) => (noFailures.has(code) ? sum : sum + count), 0);

/** What came in between; `before` is of the same process. */
export function tallySince(before: Tally, after: Tally): Tally {
  const classes = Object.entries(after.classes).map(([name, now]) => {
    const then = before.classes[name];
    const since: ClassTally =
      then === undefined
        ? now
        : {
            requests: now.requests - then.requests,
            outcomes: minus(now.outcomes, then.outcomes),
            latency: minus(now.latency, then.latency),
            firstChunk: minus(now.firstChunk, then.firstChunk),
          };
    return [name, since] as const;
  });
  return { classes: Object.fromEntries(classes) };
}

/** Of several processes, or of several stretches of one. */
export function tallySum(tallies: readonly Tally[]): Tally {
  const names = new Set(tallies.flatMap(({ classes }) => Object.keys(classes)));
  const sum = (name: string): ClassTally => {
    const parts = tallies.flatMap(({ classes }) => classes[name] ?? []);
    return {
      requests: parts.reduce((total, { requests }) => total + requests, 0),
      outcomes: plus(parts.map(({ outcomes }) => outcomes)),
      latency: plus(parts.map(({ latency }) => latency)),
      firstChunk: plus(parts.map(({ firstChunk }) => firstChunk)),
    };
  };
  return { classes: Object.fromEntries([...names].map((name) => [name, sum(name)])) };
}

/**
 * The time within which a share of the counts stayed, at most: the end of its bucket, in milliseconds. Null without counts.
 */
export function quantileAtMostMs(buckets: Buckets, share: number): number | null {
  const sorted = Object.entries(buckets)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bucket, count] of sorted) {
    seen += count;
    if (count > 0 && seen >= share * total) return bucketStartMs(bucket + 1);
  }
  return null;
}

type Counts = { readonly [key: string]: number };

const minus = (now: Counts, then: Counts): Counts =>
  Object.fromEntries(Object.entries(now).flatMap(([key, count]) => (count === then[key] ? [] : [[key, count - (then[key] ?? 0)]])));

function plus(parts: readonly Counts[]): Counts {
  const sum: { [key: string]: number } = {};
  for (const part of parts) for (const [key, count] of Object.entries(part)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}
