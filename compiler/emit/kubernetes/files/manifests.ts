import type { EmitInput, EmittedFile } from '../../emitter.ts';
import { contextOf } from '../context.ts';
import type { KubernetesObject } from '../input.ts';
import { objectsIn } from '../objects.ts';
import { secretTemplatesOf } from '../secrets.ts';
import { type ManifestSettings, manifestInput, namespaceOf } from '../settings.ts';
import { chartFiles } from './chart.ts';
import { imageFiles } from './image.ts';
import { secretFiles } from './parts.ts';
import { manifestsReadme } from './readme.ts';
import { printObjects } from './yaml.ts';

const componentLabel = 'app.kubernetes.io/component';

/** Manifests in a file for each unit and service, a kustomization with an overlay, a chart, and what the image is built from. */
export function emitManifests(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[] {
  const settings = options as ManifestSettings;
  const kubernetes = manifestInput(input, settings);
  const context = contextOf(kubernetes);
  const objects = objectsIn(context);
  const head = [`Written by dmas-opt from ${input.facts.origin}.`];
  const byComponent = grouped(objects);
  const base = [...byComponent].map(([component, all]) => ({
    path: `base/${component}.yaml`,
    content: printObjects(all, [...head, ...(notes[component] ?? [])]),
  }));
  const image = kubernetes.images['*'] ?? '';
  return [
    { path: 'README.md', content: manifestsReadme(input, settings, context, objects) },
    { path: 'base/kustomization.yaml', content: printObjects([kustomization([...byComponent.keys()])], head) },
    ...base,
    { path: 'overlays/production/kustomization.yaml', content: overlay(image, namespaceOf(input, settings), head) },
    ...secretFiles(secretTemplatesOf(context)),
    ...chartFiles(input, kubernetes),
    ...imageFiles(input, settings.nodeImage),
  ];
}

const notes: { readonly [component: string]: readonly string[] } = {
  network: ['Pods of this application may do nothing that is not allowed here or in the file of a unit.'],
};

function grouped(objects: readonly KubernetesObject[]): ReadonlyMap<string, readonly KubernetesObject[]> {
  const groups = new Map<string, KubernetesObject[]>();
  for (const object of objects) {
    const component = object.metadata.labels[componentLabel] ?? 'application';
    groups.set(component, [...(groups.get(component) ?? []), object]);
  }
  return groups;
}

const kustomization = (components: readonly string[]) => ({
  apiVersion: 'kustomize.config.k8s.io/v1beta1',
  kind: 'Kustomization',
  resources: components.map((component) => `${component}.yaml`),
});

/** What differs between places: the namespace, and the registry an image was pushed to. */
function overlay(image: string, namespace: string, head: readonly string[]): string {
  const at = image.lastIndexOf(':');
  const [name, tag] = at > image.lastIndexOf('/') ? [image.slice(0, at), image.slice(at + 1)] : [image, 'latest'];
  const object = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace,
    resources: ['../../base'],
    images: [{ name, newName: name, newTag: tag }],
  };
  return printObjects(
    [object],
    [...head, 'newName: the registry and repository you pushed to. Patches of replicas and resources go here too.'],
  );
}
