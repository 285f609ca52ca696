import type { EmitInput, EmittedFile, Emitter } from '../emitter.ts';
import { imageFiles } from '../kubernetes/files/image.ts';
import { printObjects } from '../kubernetes/files/yaml.ts';
import type { KubernetesInput } from '../kubernetes/input.ts';
import { cut, slug } from '../kubernetes/names.ts';
import { secretTemplates } from '../kubernetes/objects.ts';
import { kagentObjects } from './objects.ts';
import { type KagentOptions, readKagentOptions } from './options.ts';
import { withKagentDoors } from './prepare.ts';
import { kagentReadme } from './readme.ts';

export const kagentEmitter: Emitter = { prepare: withKagentDoors, emit };

/** kagent lets the time pods get to end at Kubernetes’ 30 s; what is under way gets most of it. */
const drainMs = 20_000;

function emit(input: EmitInput, given: Parameters<Emitter['emit']>[1]): readonly EmittedFile[] {
  const { facts, workflow } = input;
  const options = readKagentOptions(given);
  const cluster = clusterInput(input, options);
  const objects = kagentObjects(cluster, workflow, options.controllerNamespace);
  const secrets = secretTemplates(cluster);
  const head = [`Written by dmas-opt from ${facts.origin}.`];
  const file = (path: string, list: readonly object[]): EmittedFile[] =>
    list.length === 0 ? [] : [{ path, content: printObjects(list, head) }];
  return [
    { path: 'README.md', content: kagentReadme(input, objects, options, cluster.images['*'] ?? '', secrets) },
    ...file('beside.yaml', objects.beside),
    ...file('models.yaml', objects.models),
    ...file('tools.yaml', objects.tools),
    ...file('agents.yaml', objects.agents),
    ...file('secrets.template.yaml', secrets),
    ...imageFiles(input, options.nodeImage),
  ];
}

function clusterInput({ plan, bundles, access, facts }: EmitInput, options: KagentOptions): KubernetesInput {
  const image = options.image === '' ? `${cut(slug(plan.application), 48)}:${plan.configurationId}` : options.image;
  return {
    plan,
    bundles,
    access,
    namespace: options.namespace,
    images: { '*': image },
    otlpEndpoints: options.otlp === '' ? [] : [options.otlp],
    drainMs,
    facts,
  };
}
