import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { startServiceProcess } from '../service-process.ts';
import { createLlamaCppServer } from './llama-cpp/http-server.ts';

/**
 * The process of a model on llama.cpp: an OpenAI-compatible server on the binding's `service://<id>`. It says that it started once the
 * model is loaded. Without `binding` it is the whole process (see `startServiceProcess`); with one the caller closes it.
 */
export function startModelService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    const model = await createLlamaCppServer(service.id, service.options);
    const report = { [address]: await listenAt(model.server, at) };
    return { report, close: () => model.close(bound.drainMs) };
  };
  return startServiceProcess({ listen }, binding);
}
