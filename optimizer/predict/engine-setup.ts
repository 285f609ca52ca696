import { engineOf } from '../../runtime/llm/engine/options.ts';
import { createPool } from '../../runtime/llm/engine/pool.ts';
import { engineReplicasOf } from '../../runtime/llm/engine/pool-size.ts';
import type { StepTime } from '../../runtime/llm/engine/step-time.ts';
import type { PoolSetup } from './engine-pool.ts';

/** The engines of a pool, from the options its servers get, warm already. Throws a RangeError for options no engine has. */
export function poolSetup(options: { readonly [option: string]: unknown }, count: number): PoolSetup {
  const { args, stepTime, router, profile, evidence } = engineOf(options);
  const replicas = engineReplicasOf(options, count);
  return {
    create: (scale) => createPool({ args, stepTime: scaled(stepTime, scale), replicas, router, coldStartMs: 0 }),
    prefixBlock: args.prefixCaching ? args.blockSize : 0,
    profile,
    evidence,
  };
}

function scaled(stepTime: StepTime, scale: number): StepTime {
  if (scale === 1) return stepTime;
  const { decodeLine, groupStepMs } = stepTime;
  return {
    stepMs: (batch) => scale * stepTime.stepMs(batch),
    ...(decodeLine === undefined
      ? {}
      : {
          decodeLine: (decodes) => {
            const line = decodeLine(decodes);
            return { stepMs: scale * line.stepMs, msPerContextToken: scale * line.msPerContextToken };
          },
        }),
    ...(groupStepMs === undefined ? {} : { groupStepMs: (batches) => scale * groupStepMs(batches) }),
  };
}
