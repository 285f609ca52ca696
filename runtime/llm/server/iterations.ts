import type { StepBatch, StepTime } from '../engine/step-time.ts';

export interface ObservedStepTime extends StepTime {
  /** Hands over what is known of the steps that are over by now. */
  settle(): void;
}

/**
 * The same step times, telling how many tokens each step worked on. The engine asks once for many equal steps in a row, so
 * how many they were shows only when it asks again, in `stepsOver`.
 */
export function observedStepTime(
  stepTime: StepTime,
  stepsOver: () => number,
  iteration: (tokens: number, times: number) => void,
): ObservedStepTime {
  let tokens = 0;
  let seen = 0;
  const settle = () => {
    const over = stepsOver();
    if (over > seen && tokens > 0) iteration(tokens, over - seen);
    seen = over;
  };
  const next = (count: number) => {
    settle();
    tokens = count;
  };
  const tokensOf = ({ decodes, prefillTokens }: StepBatch) => decodes + prefillTokens;
  const { decodeLine, groupStepMs } = stepTime;
  return {
    settle,
    stepMs: (batch) => {
      next(tokensOf(batch));
      return stepTime.stepMs(batch);
    },
    ...(decodeLine === undefined
      ? {}
      : {
          decodeLine: (decodes: number) => {
            next(decodes);
            return decodeLine(decodes);
          },
        }),
    ...(groupStepMs === undefined
      ? {}
      : {
          groupStepMs: (batches: readonly StepBatch[]) => {
            next(batches.reduce((sum, batch) => sum + tokensOf(batch), 0));
            return groupStepMs(batches);
          },
        }),
  };
}
