import { defineEmitter } from './emitter.ts';
import { kagentOptions } from './kagent/options.ts';

/** Units as Agents that bring their own program (BYO), models and tools as kagent knows them. */
export const kagent = defineEmitter({
  id: 'kagent',
  title: 'kagent: units as Agents of type BYO',
  options: kagentOptions,
  traits: { formats: 'Agent, ModelConfig, RemoteMCPServer kagent.dev/v1alpha2, Kubernetes' },
  load: async () => (await import('./kagent/emit.ts')).kagentEmitter,
});
