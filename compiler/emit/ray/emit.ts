import { stringify } from 'yaml';
import type { EmitInput, EmittedFile, Emitter } from '../emitter.ts';
import { readRayOptions } from './options.ts';
import { rayPools } from './pools.ts';
import { withModelsOnRay } from './prepare.ts';
import { rayService } from './ray-service.ts';
import { rayReadme } from './readme.ts';
import { serveConfig, servedPool } from './serve-config.ts';

export const rayEmitter: Emitter = { prepare: withModelsOnRay, emit };

function emit(input: EmitInput, given: Parameters<Emitter['emit']>[1]): readonly EmittedFile[] {
  const { plan, layoutPlan = plan, facts } = input;
  const options = readRayOptions(given);
  const pools = rayPools(layoutPlan, options.weights).map((pool) => servedPool(pool, options, facts.capacityPerReplica[pool.service]));
  const labels = { 'app.kubernetes.io/part-of': plan.application, 'app.kubernetes.io/managed-by': 'dmas-opt' };
  const head = `# ${plan.application}, ${facts.origin}. Written by dmas-opt; see README.md.\n`;
  const yaml = (value: object) => head + stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
  return [
    { path: 'README.md', content: rayReadme(plan, pools, options, facts) },
    { path: 'ray-service.yaml', content: yaml(rayService(layoutPlan, pools, options, labels)) },
    { path: 'serve-config.yaml', content: yaml(serveConfig(pools)) },
  ];
}
