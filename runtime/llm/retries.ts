import { setTimeout as sleep } from 'node:timers/promises';
import { CallError, modelFaultOf } from '../../compiler/contracts/index.ts';
import { abortError } from './openai-errors.ts';

/** First wait, doubled each time up to the longest; the same numbers as the `openai` package's own. */
const firstWaitMs = 500;
const longestWaitMs = 8_000;
/** A server that asks for more patience than this is as good as unavailable. */
const longestRetryAfterMs = 60_000;

/**
 * Runs a model call again after `overloaded` and `unavailable`. Waits as long as the server asked for, else
 * exponentially, in both cases with up to a quarter of jitter on top so that callers do not come back together. The
 * package's own retries are not used because their wait cannot be aborted. `mayRepeat` is asked after a failure: text
 * that was passed on already cannot be taken back. `call` gets the number of the attempt, from 1; the last error says
 * how many there were.
 */
export async function withRetries<T>(
  retries: number,
  signal: AbortSignal,
  call: (attempt: number) => Promise<T>,
  mayRepeat: () => boolean = () => true,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(attempt);
    } catch (error) {
      const asked = error instanceof CallError ? retryAfterOf(error.value.details) : undefined;
      const patient = asked === undefined || asked <= longestRetryAfterMs;
      if (attempt > retries || !(error instanceof CallError) || !isWorthRepeating(error) || !mayRepeat() || !patient)
        throw counted(error, attempt);
      const waitMs = asked ?? Math.min(firstWaitMs * 2 ** (attempt - 1), longestWaitMs);
      await sleep(waitMs * (1 + Math.random() / 4), undefined, { signal }).catch(() => {
        throw abortError(signal.reason);
      });
    }
  }
}

const isWorthRepeating = (error: CallError) => error.code === 'overloaded' || error.code === 'unavailable';

function counted(error: unknown, attempts: number): unknown {
  if (attempts === 1 || !(error instanceof CallError)) return error;
  const details = modelFaultOf(error.value.details);
  return details === undefined ? error : new CallError({ ...error.value, details: { ...details, attempts } }, { cause: error.cause });
}

function retryAfterOf(details: unknown): number | undefined {
  if (typeof details !== 'object' || details === null || !('retryAfterMs' in details)) return undefined;
  return typeof details.retryAfterMs === 'number' ? details.retryAfterMs : undefined;
}
