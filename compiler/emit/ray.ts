import { defineEmitter } from './emitter.ts';
import { rayOptions } from './ray/options.ts';

/** KubeRay's RayService with the models under Ray Serve LLM; units are Deployments beside it. */
export const ray = defineEmitter({
  id: 'ray',
  title: 'Ray: models by Ray Serve LLM (RayService), agents beside them',
  options: rayOptions,
  traits: { formats: 'RayService ray.io/v1, Kubernetes' },
  load: async () => (await import('./ray/emit.ts')).rayEmitter,
});
