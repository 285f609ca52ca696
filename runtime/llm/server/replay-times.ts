import type { RecordedTiming } from '../../../compiler/contracts/index.ts';
import type { Answer } from './completion.ts';

/**
 * Answers at the recorded times, without the wait they hold: the first piece after the recorded time to it, the others
 * with the recorded gaps. Calls do not slow each other down: how a provider shares its machines is not on the tape.
 */
export function playRecorded(timing: RecordedTiming, tokensOut: number, startMs: number, answer: Answer, onFirst: () => void): () => void {
  const waitedMs = Math.min(timing.queueMs ?? 0, timing.firstMs);
  const firstMs = timing.firstMs - waitedMs;
  const totalMs = Math.max(firstMs, timing.totalMs - waitedMs);
  const gaps = timing.gapsMs ?? [];
  let timer: NodeJS.Timeout | undefined;
  const at = (ms: number, then: () => void) => {
    timer = setTimeout(then, Math.max(0, startMs + ms - performance.now()));
  };
  const finish = () => {
    answer.onFinished({ queuedMs: 0, prefillMs: firstMs, decodeMs: totalMs - firstMs });
  };
  const piece = (index: number, ms: number) => {
    if (index === 0) {
      onFirst();
      answer.onFirst(0);
    }
    const gap = gaps[index];
    if (gap === undefined) {
      at(totalMs, finish);
      return;
    }
    answer.onTokens?.(Math.floor((tokensOut * (index + 1)) / (gaps.length + 1)));
    at(ms + gap, () => piece(index + 1, ms + gap));
  };
  at(firstMs, () => piece(0, firstMs));
  return () => clearTimeout(timer);
}
