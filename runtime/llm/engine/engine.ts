import { createHeap } from './heap.ts';
import { checkEngineParams, type EngineParams } from './params.ts';
import { createSpan, endOfStep, type Span, stepsOverBy, stepsUntil } from './span.ts';

export interface EngineRequest {
  readonly id: string;
  readonly tokensIn: number;
  /** Of `tokensIn`, how many need no prefill. At least one token is always computed. */
  readonly tokensCached?: number;
  readonly tokensOut: number;
  /** Not before the time the engine has been advanced to, nor before the request submitted last. */
  readonly atMs: number;
}

/** `queuedMs + prefillMs + decodeMs` is the time from arrival to the last token. */
export interface RequestTimings {
  /** From arrival to the start of the first step that works on it. */
  readonly queuedMs: number;
  /** From there to the first token. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

export type EngineEvent =
  | { readonly kind: 'firstToken'; readonly id: string; readonly atMs: number; readonly queuedMs: number; readonly prefillMs: number }
  | ({ readonly kind: 'finished'; readonly id: string; readonly atMs: number } & RequestTimings);

export interface EngineStats {
  readonly running: number;
  readonly waiting: number;
  readonly kvTokensUsed: number;
  readonly steps: number;
}

/**
 * Continuous batching, one step at a time, as a pure function of what was submitted: no clock, no randomness.
 *
 * Each step gives every decoding sequence one token and spends what is left of `maxBatchedTokens` on prompts, first
 * come first served, cutting a long prompt into chunks. A request is admitted when a sequence slot and KV space for
 * its prompt and whole reply are free; nothing is preempted. Whoever arrives during a step waits for its end.
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

interface Sequence {
  readonly request: EngineRequest;
  /** Order of submission, to break ties. */
  readonly order: number;
  readonly kvTokens: number;
  prefillLeft: number;
  state: 'waiting' | 'prefill' | 'decode' | 'gone';
  scheduledMs: number;
  firstTokenMs: number;
  /** Step count when its first token came. */
  decodeFrom: number;
  cancelled: boolean;
}

const endsAtStep = (sequence: Sequence) => sequence.decodeFrom + sequence.request.tokensOut - 1;

export function createEngine(params: EngineParams): Engine {
  checkEngineParams(params);
  const sequences = new Map<string, Sequence>();
  const decoding = createHeap<Sequence>(
    (a, b) => endsAtStep(a) - endsAtStep(b) < 0 || (endsAtStep(a) === endsAtStep(b) && a.order < b.order),
  );
  let queue: Sequence[] = [];
  let queueHead = 0;
  let waiting = 0;
  let decodes = 0;
  let contextTokens = 0;
  let kvTokensUsed = 0;
  let steps = 0;
  let submitted = 0;
  let boundaryMs = 0;
  let advancedMs = 0;
  let lastSubmitMs = 0;
  let cancellations: Sequence[] = [];
  /** The one prompt that did not fit into a step. */
  let partial: Sequence | undefined;
  let prefilling: { readonly sequence: Sequence; readonly tokens: number }[] = [];
  let span: Span | undefined;

  function headOfQueue(): Sequence | undefined {
    while (queueHead < queue.length && queue[queueHead]?.state !== 'waiting') queueHead++;
    if (queueHead > 1024 && queueHead * 2 > queue.length) {
      queue = queue.slice(queueHead);
      queueHead = 0;
    }
    return queue[queueHead];
  }

  const hasRoomFor = (sequence: Sequence) =>
    decodes + prefilling.length < params.maxNumSeqs && kvTokensUsed + sequence.kvTokens <= params.kvTokens;

  function forget(sequence: Sequence): void {
    sequence.state = 'gone';
    sequences.delete(sequence.request.id);
  }

  function leaveBatch(sequence: Sequence): void {
    if (sequence.state === 'decode') {
      decodes--;
      contextTokens -= sequence.request.tokensIn + 1 + (steps - sequence.decodeFrom);
    }
    kvTokensUsed -= sequence.kvTokens;
    forget(sequence);
  }

  function dropCancelled(): void {
    if (cancellations.length === 0) return;
    for (const sequence of cancellations) if (sequence.state !== 'gone') leaveBatch(sequence);
    cancellations = [];
    if (partial?.state === 'gone') partial = undefined;
  }

  /** Fills `prefilling` for the step that starts at `startMs`. */
  function fillStep(startMs: number): number {
    let budget = params.maxBatchedTokens - decodes;
    let tokens = 0;
    prefilling = [];
    const take = (sequence: Sequence) => {
      const share = Math.min(sequence.prefillLeft, budget);
      prefilling.push({ sequence, tokens: share });
      budget -= share;
      tokens += share;
    };
    if (partial) take(partial);
    for (let head = headOfQueue(); head && budget > 0 && head.request.atMs <= startMs && hasRoomFor(head); head = headOfQueue()) {
      waiting--;
      kvTokensUsed += head.kvTokens;
      head.state = 'prefill';
      head.scheduledMs = startMs;
      take(head);
    }
    return tokens;
  }

  /** Plans what runs from the last boundary on; false when there is nothing to run before `ms`. */
  function startSpan(ms: number): boolean {
    dropCancelled();
    const head = headOfQueue();
    if (decodes === 0 && !partial) {
      if (!head || head.request.atMs > ms) return false;
      boundaryMs = Math.max(boundaryMs, head.request.atMs);
    }
    const prefillTokens = fillStep(boundaryMs);
    const at = { baseMs: boundaryMs, decodes, contextTokens, prefillTokens };
    if (prefilling.length > 0) {
      span = createSpan(params, at, 1);
      return true;
    }
    const next = nextToEnd();
    if (!next) return false;
    span = createSpan(params, at, endsAtStep(next) - steps);
    shortenForArrival(span);
    return true;
  }

  function nextToEnd(): Sequence | undefined {
    while (decoding.peek()?.state === 'gone') decoding.pop();
    return decoding.peek();
  }

  /** A pure decode span ends where the next request that has room can join. */
  function shortenForArrival(current: Span): void {
    const head = headOfQueue();
    if (!head || prefilling.length > 0 || !hasRoomFor(head)) return;
    current.steps = Math.min(current.steps, stepsUntil(current, head.request.atMs));
  }

  function completeSpan(current: Span, events: EngineEvent[]): void {
    boundaryMs = endOfStep(current, current.steps);
    steps += current.steps;
    contextTokens += decodes * current.steps;
    span = undefined;
    partial = undefined;
    const filled = prefilling;
    prefilling = [];
    for (const { sequence, tokens } of filled) {
      sequence.prefillLeft -= tokens;
      if (sequence.prefillLeft > 0) partial = sequence;
      else firstToken(sequence, events);
    }
    for (let next = nextToEnd(); next && endsAtStep(next) <= steps; next = nextToEnd()) {
      decoding.pop();
      finish(next, events);
    }
  }

  function firstToken(sequence: Sequence, events: EngineEvent[]): void {
    sequence.state = 'decode';
    sequence.firstTokenMs = boundaryMs;
    sequence.decodeFrom = steps;
    decodes++;
    contextTokens += sequence.request.tokensIn + 1;
    decoding.push(sequence);
    if (!sequence.cancelled) events.push({ kind: 'firstToken', id: sequence.request.id, atMs: boundaryMs, ...beforeDecode(sequence) });
  }

  function finish(sequence: Sequence, events: EngineEvent[]): void {
    const decodeMs = boundaryMs - sequence.firstTokenMs;
    if (!sequence.cancelled) {
      events.push({ kind: 'finished', id: sequence.request.id, atMs: boundaryMs, ...beforeDecode(sequence), decodeMs });
    }
    leaveBatch(sequence);
  }

  const beforeDecode = (sequence: Sequence) => ({
    queuedMs: sequence.scheduledMs - sequence.request.atMs,
    prefillMs: sequence.firstTokenMs - sequence.scheduledMs,
  });

  return {
    submit: (request) => {
      checkRequest(request, params);
      if (request.atMs < advancedMs || request.atMs < lastSubmitMs) throw new RangeError(`request ${request.id} arrives in the past`);
      if (sequences.has(request.id)) throw new RangeError(`request ${request.id} is already here`);
      lastSubmitMs = request.atMs;
      const sequence: Sequence = {
        request,
        order: submitted++,
        kvTokens: request.tokensIn + request.tokensOut,
        prefillLeft: Math.max(1, request.tokensIn - (request.tokensCached ?? 0)),
        state: 'waiting',
        scheduledMs: 0,
        firstTokenMs: 0,
        decodeFrom: 0,
        cancelled: false,
      };
      sequences.set(request.id, sequence);
      queue.push(sequence);
      waiting++;
      if (span) shortenForArrival(span);
    },
    cancel: (id, atMs) => {
      const sequence = sequences.get(id);
      if (!sequence || sequence.cancelled) return;
      sequence.cancelled = true;
      if (sequence.state === 'waiting') {
        waiting--;
        forget(sequence);
      } else {
        cancellations.push(sequence);
        if (span) span.steps = Math.min(span.steps, stepsUntil(span, Math.max(atMs, advancedMs)));
      }
    },
    advanceTo: (ms) => {
      const events: EngineEvent[] = [];
      for (;;) {
        if (!span && !startSpan(ms)) break;
        if (!span) break;
        span.done = stepsOverBy(span, ms);
        if (span.done < span.steps) break;
        completeSpan(span, events);
      }
      advancedMs = Math.max(advancedMs, Number.isFinite(ms) ? ms : boundaryMs);
      return events;
    },
    nextWakeAtMs: () => (span ? endOfStep(span, span.steps) : headOfQueue()?.request.atMs),
    afterStepsMs: (count) => (span ? endOfStep(span, Math.min(span.steps, span.done + count)) : headOfQueue()?.request.atMs),
    tokensProduced: (id) => {
      const sequence = sequences.get(id);
      return sequence?.state === 'decode' ? 1 + steps + (span?.done ?? 0) - sequence.decodeFrom : 0;
    },
    stats: () => ({ running: sequences.size - waiting, waiting, kvTokensUsed, steps: steps + (span?.done ?? 0) }),
  };
}

function checkRequest(request: EngineRequest, params: EngineParams): void {
  const { id, tokensIn, tokensOut, tokensCached = 0, atMs } = request;
  if (!Number.isInteger(tokensIn) || tokensIn < 1) throw new RangeError(`request ${id} needs at least one prompt token`);
  if (!Number.isInteger(tokensOut) || tokensOut < 1) throw new RangeError(`request ${id} needs at least one output token`);
  if (!(tokensCached >= 0 && tokensCached <= tokensIn)) throw new RangeError(`request ${id} has more cached than prompt tokens`);
  if (!Number.isFinite(atMs) || atMs < 0) throw new RangeError(`request ${id} has no time of arrival`);
  if (tokensIn + tokensOut > params.kvTokens) {
    throw new RangeError(`request ${id} needs ${tokensIn + tokensOut} tokens of KV cache, the engine has ${params.kvTokens}`);
  }
}
