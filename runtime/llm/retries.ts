import { setTimeout as sleep } from 'node:timers/promises';
import { CallError } from '../../compiler/contracts/index.ts';
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
 * that was passed on already cannot be taken back.
 */
export async function withRetries<T>(
  retries: number,
  signal: AbortSignal,
  call: () => Promise<T>,
  mayRepeat: () => boolean = () => true,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt >= retries || !(error instanceof CallError) || !isWorthRepeating(error) || !mayRepeat()) throw error;
      const asked = retryAfterOf(error);
      if (asked !== undefined && asked > longestRetryAfterMs) throw error;
      const waitMs = asked ?? Math.min(firstWaitMs * 2 ** attempt, longestWaitMs);
      await sleep(waitMs * (1 + Math.random() / 4), undefined, { signal }).catch(() => {
        throw abortError(signal.reason);
      });
    }
  }
}

const isWorthRepeating = (error: CallError) => error.code === 'overloaded' || error.code === 'unavailable';

function retryAfterOf(error: CallError): number | undefined {
  const { details } = error.value;
  if (typeof details !== 'object' || details === null || !('retryAfterMs' in details)) return undefined;
  return typeof details.retryAfterMs === 'number' ? details.retryAfterMs : undefined;
}
