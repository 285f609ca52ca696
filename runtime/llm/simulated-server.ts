import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { startServiceProcess } from '../service-process.ts';
import { createModelServer, type ModelServer } from './server/model-server.ts';

/**
 * The process of a simulated model: an OpenAI-compatible server on the binding's `service://<id>`. Without `binding`
 * it is the whole process (see `startServiceProcess`); with one the caller closes it.
 */
export function startModelService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  let model: ModelServer | undefined;
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    const made = createModelServer(service.id, service.options);
    model = made;
    const report = { [address]: await listenAt(made.server, at) };
    return { report, close: () => made.close(bound.drainMs) };
  };
  // Nobody is sent here while the engines would turn everybody away.
  return startServiceProcess({ listen, missing: () => ((model?.coldForMs() ?? 0) > 0 ? ['the end of the cold start'] : []) }, binding);
}
