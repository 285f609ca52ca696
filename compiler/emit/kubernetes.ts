import { defineEmitter, walledTraits } from './emitter.ts';
import { manifestOptions } from './kubernetes/settings.ts';

/** Manifests for `kubectl apply -k`, and the same as a Helm chart. */
export const kubernetes = defineEmitter({
  id: 'kubernetes',
  title: 'Kubernetes manifests',
  options: manifestOptions,
  traits: {
    formats: 'manifests by unit with a kustomization and an overlay, a small Helm chart, and the build context of the image',
    target: walledTraits,
  },
  load: async () => ({ emit: (await import('./kubernetes/files/manifests.ts')).emitManifests }),
});
