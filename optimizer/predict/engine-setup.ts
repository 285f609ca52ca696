import { createEngine } from '../../runtime/llm/engine/engine.ts';
import { engineParamsOf } from '../../runtime/llm/engine/params.ts';
import { engineReplicasOf } from '../../runtime/llm/engine/pool-size.ts';
import type { Router } from '../../runtime/llm/engine/step-time.ts';
import type { PoolSetup } from './engine-pool.ts';

/** The engines of a pool, from the options its servers get. Throws a RangeError for options no engine has. */
export function poolSetup(options: { readonly [option: string]: unknown }, replicas: number): PoolSetup {
  const params = engineParamsOf(options);
  return {
    create: (scale) =>
      createEngine({
        ...params,
        stepFixedMs: params.stepFixedMs * scale,
        prefillMsPerToken: params.prefillMsPerToken * scale,
        decodeMsPerSequence: params.decodeMsPerSequence * scale,
        contextMsPerToken: params.contextMsPerToken * scale,
      }),
    replicas: engineReplicasOf(options, replicas),
    router: (options.router as Router | undefined) ?? 'least-outstanding',
    prefixBlock: params.prefixCacheTokens > 0 ? 16 : 0,
    profile: String(options.profile ?? 'generic-small'),
    evidence: 'estimate',
  };
}
