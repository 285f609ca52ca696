import { createLine, type Line, type LineListener, type Rank } from './line.ts';
import { producedAfter, type Sequence } from './sequence.ts';
import type { EngineArgs, StepTime } from './step-time.ts';

export interface EngineRequest {
  readonly id: string;
  readonly tokensIn: number;
  /** Of `tokensIn`, how many need no prefill, whatever the engine's own cache holds. At least one token is always computed. */
  readonly tokensCached?: number;
  /**
   * Chained keys of the prompt's full blocks, looked up in and added to the engine's own cache. Keys beyond the prompt name
   * the blocks that the reply fills, for the next turn of a conversation.
   */
  readonly prefix?: readonly string[];
  readonly tokensOut: number;
  /** Not before the time the engine has been advanced to, nor before the request submitted last. */
  readonly atMs: number;
}

/** `queuedMs + prefillMs + decodeMs` is the time from arrival to the last token. */
export interface RequestTimings {
  /** From arrival to when it was put into a step for the first time. */
  readonly queuedMs: number;
  /** Of that, until the scheduler first looked at it, at the end of the step under way. */
  readonly unseenMs: number;
  /** From there to the first token. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
  readonly tokensCached: number;
  readonly preemptions: number;
}

export type EngineEvent =
  | { readonly kind: 'firstToken'; readonly id: string; readonly atMs: number; readonly queuedMs: number; readonly prefillMs: number }
  | ({ readonly kind: 'finished'; readonly id: string; readonly atMs: number } & RequestTimings);

export interface RankStats {
  readonly running: number;
  readonly waiting: number;
  readonly kvBlocksUsed: number;
}

export interface EngineStats {
  /** Admitted, and not; one that has come during a step counts as waiting before the scheduler has seen it. */
  readonly running: number;
  readonly waiting: number;
  readonly kvBlocksUsed: number;
  readonly kvBlocks: number;
  readonly steps: number;
  readonly preemptions: number;
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  /** Time in steps; of ranks that step on their own, the sum. */
  readonly busyMs: number;
  readonly perRank: readonly RankStats[];
}

/**
 * Continuous batching over paged KV memory as a pure function of what was submitted: no clock, no randomness. `Scheduler`
 * says what goes into a step, `StepTime` how long one takes; whoever arrives during a step is looked at when it ends.
 */
export interface Engine {
  /** Throws a RangeError for a request that could never run or is out of order. */
  submit(request: EngineRequest): void;
  /** Takes effect at the end of the step under way; no more events come for it. Unknown ids are ignored. */
  cancel(id: string, atMs: number): void;
  /** Everything that happened up to and including `ms`, in order. `Infinity` runs until nothing is left. */
  advanceTo(ms: number): EngineEvent[];
  /** When to ask next: never later than the next event; undefined when idle. */
  nextWakeAtMs(): number | undefined;
  /** When `steps` more steps are over, or the next wake when that is earlier; undefined when idle. */
  afterStepsMs(steps: number): number | undefined;
  /** Tokens a request has produced up to the time advanced to. */
  tokensProduced(id: string): number;
  stats(): EngineStats;
}

interface Place {
  readonly line: Line;
  readonly rank: Rank;
}

/** Throws a RangeError naming the first argument that cannot work. */
export function createEngine(args: EngineArgs, stepTime: StepTime): Engine {
  checkEngineArgs(args);
  const sequences = new Map<string, { readonly sequence: Sequence; place: Place | undefined }>();
  let events: EngineEvent[] = [];
  /** Not yet sent to a rank, in order of arrival. */
  let inbox: Sequence[] = [];
  let inboxHead = 0;
  let sentMs = -1;
  let submitted = 0;
  let advancedMs = 0;
  let lastSubmitMs = 0;

  const listener: LineListener = {
    firstToken: (sequence, atMs) => {
      if (!sequence.cancelled) events.push({ kind: 'firstToken', id: sequence.id, atMs, ...beforeDecode(sequence) });
    },
    finished: (sequence, atMs) => {
      sequences.delete(sequence.id);
      if (sequence.cancelled) return;
      const { tokensCached, preemptions } = sequence;
      const unseenMs = sequence.seenMs - sequence.atMs;
      const decodeMs = atMs - sequence.firstTokenMs;
      events.push({ kind: 'finished', id: sequence.id, atMs, ...beforeDecode(sequence), unseenMs, decodeMs, tokensCached, preemptions });
    },
  };
  const lines = args.expertParallel
    ? [createLine(args, args.dataParallelSize, stepTime, listener)]
    : Array.from({ length: args.dataParallelSize }, () => createLine(args, 1, stepTime, listener));
  const places = lines.flatMap((line) => line.ranks.map((rank): Place => ({ line, rank })));

  /**
   * As vLLM's front end chooses among ranks: the smallest of four times the waiting and the running, the first among equals.
   * It sees counts that are up to 100 ms old; here they are those of the moment.
   */
  function leastLoaded(): Place {
    let best = places[0] as Place;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (const place of places) {
      const load = 4 * waitingAt(place) + place.rank.scheduler.running;
      if (load < bestLoad) [best, bestLoad] = [place, load];
    }
    return best;
  }

  const waitingAt = ({ rank }: Place) => rank.scheduler.waiting + rank.inbox.length;

  function send(sequence: Sequence): void {
    const entry = sequences.get(sequence.id);
    if (!entry || sequence.cancelled) return;
    const place = leastLoaded();
    entry.place = place;
    place.line.arrived(place.rank, sequence);
  }

  function advanceLines(ms: number): void {
    for (const line of lines) line.advanceTo(ms);
  }

  /** With one rank there is no choice, and it may look ahead. */
  function submitTo(sequence: Sequence): void {
    if (places.length === 1) send(sequence);
    else inbox.push(sequence);
  }

  function advanceInbox(ms: number): void {
    for (let next = inbox[inboxHead]; next && next.atMs <= ms; next = inbox[inboxHead]) {
      // Those that come at the same time are sent before anybody starts on the first of them.
      if (next.atMs > sentMs) advanceLines(next.atMs);
      sentMs = next.atMs;
      inboxHead++;
      send(next);
    }
    if (inboxHead > 1024 && inboxHead * 2 > inbox.length) {
      inbox = inbox.slice(inboxHead);
      inboxHead = 0;
    }
  }

  function earliest(of: (line: Line) => number | undefined): number | undefined {
    let first = inbox[inboxHead]?.atMs ?? Number.POSITIVE_INFINITY;
    for (const line of lines) {
      const ms = of(line) ?? line.ranks.reduce((min, { inbox: [head] }) => Math.min(min, head?.atMs ?? min), Number.POSITIVE_INFINITY);
      first = Math.min(first, ms);
    }
    return first === Number.POSITIVE_INFINITY ? undefined : first;
  }

  const sum = (of: (place: Place) => number) => places.reduce((total, place) => total + of(place), 0);

  return {
    submit: (request) => {
      checkRequest(request, args);
      if (request.atMs < advancedMs || request.atMs < lastSubmitMs) throw new RangeError(`request ${request.id} arrives in the past`);
      if (sequences.has(request.id)) throw new RangeError(`request ${request.id} is already here`);
      lastSubmitMs = request.atMs;
      const sequence = createSequence(request, submitted++);
      sequences.set(request.id, { sequence, place: undefined });
      submitTo(sequence);
    },
    cancel: (id, atMs) => {
      const entry = sequences.get(id);
      if (!entry) return;
      sequences.delete(id);
      entry.sequence.cancelled = true;
      if (entry.place) entry.place.line.cancelled(entry.place.rank, entry.sequence, Math.max(atMs, advancedMs));
    },
    advanceTo: (ms) => {
      advanceInbox(ms);
      advanceLines(ms);
      advancedMs = Math.max(advancedMs, Number.isFinite(ms) ? ms : Math.max(...lines.map(({ boundaryMs }) => boundaryMs)));
      const happened = events;
      events = [];
      // Ranks that step on their own report one after the other.
      if (lines.length > 1) happened.sort((a, b) => a.atMs - b.atMs);
      return happened;
    },
    nextWakeAtMs: () => earliest((line) => line.nextEndMs()),
    afterStepsMs: (count) => earliest((line) => line.endAfterMs(count)),
    tokensProduced: (id) => {
      const entry = sequences.get(id);
      if (!entry?.place || entry.sequence.firstTokenMs < 0) return 0;
      const { rank, line } = entry.place;
      return producedAfter(entry.sequence, rank.current.number - 1 + line.ahead);
    },
    stats: () => ({
      running: sum(({ rank }) => rank.scheduler.running),
      waiting: sum(waitingAt) + inbox.length - inboxHead,
      kvBlocksUsed: sum(({ rank, line }) => rank.scheduler.blocksUsed(line.ahead)),
      kvBlocks: sum(({ rank }) => rank.scheduler.kvBlocks),
      steps: lines.reduce((total, { steps }) => total + steps, 0),
      preemptions: sum(({ rank }) => rank.scheduler.preemptions),
      prefixQueryTokens: sum(({ rank }) => rank.scheduler.prefixQueryTokens),
      prefixHitTokens: sum(({ rank }) => rank.scheduler.prefixHitTokens),
      busyMs: lines.reduce((total, { busyMs }) => total + busyMs, 0),
      perRank: places.map((place) => ({
        running: place.rank.scheduler.running,
        waiting: waitingAt(place),
        kvBlocksUsed: place.rank.scheduler.blocksUsed(place.line.ahead),
      })),
    }),
  };
}

const beforeDecode = ({ scheduledMs, atMs, firstTokenMs }: Sequence) => ({
  queuedMs: scheduledMs - atMs,
  prefillMs: firstTokenMs - scheduledMs,
});

function createSequence(request: EngineRequest, order: number): Sequence {
  return {
    id: request.id,
    order,
    tokensIn: request.tokensIn,
    tokensOut: request.tokensOut,
    fixedCached: request.tokensCached,
    prefix: request.prefix ?? [],
    atMs: request.atMs,
    state: 'arriving',
    cancelled: false,
    seenMs: 0,
    scheduledMs: 0,
    firstTokenMs: -1,
    tokensCached: 0,
    preemptions: 0,
    length: request.tokensIn,
    computed: 0,
    produced: 0,
    lastPrompt: 0,
    lastStep: 0,
    blocks: 0,
    keyed: [],
    freed: undefined,
    freedTokens: 0,
  };
}

const wholeFrom = (least: number, names: readonly (keyof EngineArgs)[], args: EngineArgs) => {
  for (const name of names) {
    const value = args[name];
    if (!Number.isInteger(value) || Number(value) < least) {
      throw new RangeError(`${name} must be a whole number of at least ${least}, not ${String(value)}`);
    }
  }
};

/** Throws a RangeError naming the first argument that cannot work. */
export function checkEngineArgs(args: EngineArgs): void {
  wholeFrom(1, ['maxNumSeqs', 'maxNumBatchedTokens', 'blockSize', 'kvBlocks', 'tensorParallelSize', 'dataParallelSize'], args);
  // Otherwise a step could not give every running sequence its token, and sequences would overtake each other.
  if (args.maxNumBatchedTokens < args.maxNumSeqs) throw new RangeError('maxNumBatchedTokens must be at least maxNumSeqs');
  const { prefixLifetimeMs } = args;
  if (prefixLifetimeMs !== undefined && !(prefixLifetimeMs >= 0)) throw new RangeError('prefixLifetimeMs must be at least 0');
}

function checkRequest(request: EngineRequest, args: EngineArgs): void {
  const { id, tokensIn, tokensOut, tokensCached = 0, atMs } = request;
  if (!Number.isInteger(tokensIn) || tokensIn < 1) throw new RangeError(`request ${id} needs at least one prompt token`);
  if (!Number.isInteger(tokensOut) || tokensOut < 1) throw new RangeError(`request ${id} needs at least one output token`);
  if (!(tokensCached >= 0 && tokensCached <= tokensIn)) throw new RangeError(`request ${id} has more cached than prompt tokens`);
  if (!Number.isFinite(atMs) || atMs < 0) throw new RangeError(`request ${id} has no time of arrival`);
  // The last token is handed out, never computed on.
  const tokens = tokensIn + tokensOut - 1;
  const { blockSize, kvBlocks } = args;
  if (Math.ceil(tokens / blockSize) > kvBlocks) {
    throw new RangeError(`request ${id} needs ${tokens} tokens of KV cache, the engine has ${kvBlocks * blockSize}`);
  }
}
