import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { startServiceProcess } from '../service-process.ts';
import { createModelServer } from './server/model-server.ts';

/**
 * The process of a simulated model: an OpenAI-compatible server on the binding's `service://<id>`. Without `binding`
 * it is the whole process (see `startServiceProcess`); with one the caller closes it.
 */
export function startModelService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    const model = createModelServer(service.id, service.options);
    const report = { [address]: await listenAt(model.server, at) };
    return { report, close: () => model.close(bound.drainMs) };
  };
  return startServiceProcess({ listen }, binding);
}
