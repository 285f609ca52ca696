import type { PausedAnswer } from '../../compiler/contracts/call-errors.ts';
import type { Sample } from '../../compiler/contracts/measurement.ts';
import type { AnswerBook } from './answers.ts';
import type { Reply } from './exchange.ts';
import type { HumanPart } from './humans.ts';
import type { LoadClass } from './job.ts';

/** One request on its way: what is known of it before an answer came. */
export interface SentRequest {
  readonly classIndex: number;
  readonly index: number;
  readonly input: number;
  readonly session?: string;
  readonly intendedMs: number;
  readonly sentMs: number;
  readonly warmup: boolean;
}

/** Turns requests and replies into samples. Everything is kept in memory and written after the load, not during it. */
export function createJudge(classes: readonly LoadClass[], answers: AnswerBook, samples: Sample[]) {
  const base = (request: SentRequest, doneMs: number) => ({
    class: classes[request.classIndex]?.name ?? '',
    index: request.index,
    input: request.input,
    ...(request.session === undefined ? {} : { session: request.session }),
    intendedMs: request.intendedMs,
    sentMs: request.sentMs,
    doneMs,
    warmup: request.warmup,
  });
  return {
    /**
     * `unchecked` takes a reply without error as right, where its bytes could not be kept. A reply that is a question is
     * the end of its request: there was nobody to answer it.
     */
    answered(request: SentRequest, doneMs: number, reply: Reply, how: { unchecked?: boolean; took?: HumanPart | undefined } = {}): void {
      const { answer, error, paused, ...seen } = reply;
      const right =
        error === undefined && (how.unchecked === true || (answer !== null && answers.accept(request.classIndex, request.input, answer)));
      const all = { ...base(request, doneMs), ...how.took, ...seen };
      if (right) samples.push({ ...all, outcome: 'ok' });
      else if (error === 'inputRequired') samples.push({ ...all, outcome: 'incomplete', ...unanswered(paused) });
      else {
        const outcome = error === 'deadline' ? 'timeout' : error !== undefined ? 'error' : 'wrong';
        samples.push({ ...all, outcome, error: error ?? 'wrong-answer' });
      }
    },
    /** No answer: the connection broke, the client's own timeout passed, or the block's grace was over. */
    unanswered(request: SentRequest, doneMs: number, outcome: 'error' | 'timeout' | 'incomplete', took?: HumanPart): void {
      samples.push({
        ...base(request, doneMs),
        ...took,
        firstChunkMs: null,
        maxGapMs: null,
        meanGapMs: null,
        status: 0,
        bytesIn: 0,
        outcome,
        error: outcome === 'error' ? 'connection' : outcome,
      });
    },
  };
}
/** Only the component becomes part of the error: prompts differ from request to request, and errors are counted by kind. */
function unanswered(paused: PausedAnswer | undefined) {
  if (paused === undefined) return { error: 'inputRequired' };
  const { component, prompt } = paused.details;
  return { error: `paused at ${component}`, asked: { component, prompt } };
}

export type Judge = ReturnType<typeof createJudge>;
