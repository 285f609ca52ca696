import { stringify } from 'yaml';
import { imageFiles } from '../cluster/image.ts';
import { manifest } from '../cluster/yaml.ts';
import type { EmitInput, EmittedFile, Emitter } from '../emitter.ts';
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
  const { plan, layoutPlan = plan, bundles, facts } = input;
  const options = readRayOptions(given);
  const pools = rayPools(layoutPlan, options.weights).map((pool) => servedPool(pool, options, facts.capacityPerReplica[pool.service]));
  const labels = { 'app.kubernetes.io/part-of': cut(slug(plan.application), 63), 'app.kubernetes.io/managed-by': 'dmas-opt' };
  const head = `# ${plan.application}, ${facts.origin}. Written by dmas-opt; see README.md.\n`;
  const cluster = clusterInput(input, options);
  const secrets = secretTemplates(cluster);
  return [
    { path: 'README.md', content: rayReadme(plan, pools, options, facts, cluster.images['*'] ?? '', secrets.length > 0) },
    { path: 'ray-service.yaml', content: manifest(head, [rayService(layoutPlan, pools, options, labels)]) },
    { path: 'serve-config.yaml', content: head + stringify(serveConfig(pools), { lineWidth: 0, aliasDuplicateObjects: false }) },
    { path: 'agents.yaml', content: manifest(head, objectsOf(cluster)) },
    ...(secrets.length === 0 ? [] : [{ path: 'secrets.template.yaml', content: manifest(head, secrets) }]),
    ...imageFiles(bundles, options.nodeImage),
  ];
}

function clusterInput({ plan, bundles, access, facts }: EmitInput, options: RayOptions): KubernetesInput {
  const image = options.image === '' ? `${cut(slug(plan.application), 48)}:${plan.configurationId}` : options.image;
  return { plan, bundles, access, images: { '*': image }, otlpEndpoints: options.otlp === '' ? [] : [options.otlp], facts };
}
