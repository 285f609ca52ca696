import type { EmitInput, EmittedFile, Emitter } from '../emitter.ts';
import { imageFiles } from '../kubernetes/files/image.ts';
import { printObjects } from '../kubernetes/files/yaml.ts';
import type { KubernetesInput } from '../kubernetes/input.ts';
import { cut, slug } from '../kubernetes/names.ts';
import { objectsOf, secretTemplates } from '../kubernetes/objects.ts';
import { type RayOptions, readRayOptions } from './options.ts';
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
  const labels = { 'app.kubernetes.io/part-of': cut(slug(plan.application), 63), 'app.kubernetes.io/managed-by': 'dmas-opt' };
  const head = [`Written by dmas-opt from ${facts.origin}.`];
  const cluster = clusterInput(input, options);
  const secrets = secretTemplates(cluster);
  return [
    { path: 'README.md', content: rayReadme(plan, pools, options, facts, cluster.images['*'] ?? '', secrets.length > 0) },
    { path: 'ray-service.yaml', content: printObjects([rayService(layoutPlan, pools, options, labels)], head) },
    { path: 'serve-config.yaml', content: printObjects([serveConfig(pools)], head) },
    { path: 'agents.yaml', content: printObjects(objectsOf(cluster), head) },
    ...(secrets.length === 0 ? [] : [{ path: 'secrets.template.yaml', content: printObjects(secrets, head) }]),
    ...imageFiles(input, options.nodeImage),
  ];
}

function clusterInput({ plan, bundles, access, facts }: EmitInput, options: RayOptions): KubernetesInput {
  const image = options.image === '' ? `${cut(slug(plan.application), 48)}:${plan.configurationId}` : options.image;
  return { plan, bundles, access, images: { '*': image }, otlpEndpoints: options.otlp === '' ? [] : [options.otlp], facts };
}
