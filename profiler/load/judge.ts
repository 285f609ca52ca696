import type { Sample } from '../../compiler/contracts/measurement.ts';
import type { AnswerBook } from './answers.ts';
import type { Reply } from './exchange.ts';
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
    /** `unchecked` takes a reply without error as right, where its bytes could not be kept. */
    answered(request: SentRequest, doneMs: number, reply: Reply, unchecked = false): void {
      const { answer, error, ...seen } = reply;
      const right = error === undefined && (unchecked || (answer !== null && answers.accept(request.classIndex, request.input, answer)));
      const outcome = right ? 'ok' : error === 'deadline' ? 'timeout' : error !== undefined ? 'error' : 'wrong';
      samples.push({ ...base(request, doneMs), ...seen, outcome, ...(right ? {} : { error: error ?? 'wrong-answer' }) });
    },
    /** No answer: the connection broke, the client's own timeout passed, or the block's grace was over. */
    unanswered(request: SentRequest, doneMs: number, outcome: 'error' | 'timeout' | 'incomplete'): void {
      samples.push({
        ...base(request, doneMs),
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
export type Judge = ReturnType<typeof createJudge>;
