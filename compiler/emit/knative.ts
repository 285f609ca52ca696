import { defineEmitter, walledTraits } from './emitter.ts';
import { serverlessOptions } from './kubernetes/settings.ts';

/** The serverless form: the entry is a Knative Service, which may scale to nothing; what keeps state or is called by others is not. */
export const knative = defineEmitter({
  id: 'knative',
  title: 'Knative Service of the entry',
  options: serverlessOptions,
  traits: { formats: 'a Knative Service that scales to zero, beside manifests of what it calls', target: walledTraits },
  load: async () => ({ emit: (await import('./kubernetes/files/serverless.ts')).emitServerless }),
});
