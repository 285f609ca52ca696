import { defineLlmBackend } from './backend.ts';
import { llamaCppOptions } from './llama-cpp/options.ts';

/** llama.cpp on the processor, through node-llama-cpp: a real engine that needs neither network nor GPU. Deployed with the plan. */
export const llamaCpp = defineLlmBackend({
  id: 'llama-cpp',
  title: 'llama.cpp',
  options: llamaCppOptions,
  traits: { deployed: true, provenance: 'measured', metrics: 'llama-cpp' },
  load: async () => (await import('./own-server.ts')).ownServer,
});
