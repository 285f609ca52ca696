import type { PlannedService, ProcessBinding } from '../../compiler/contracts/index.ts';
import { createDrainingServer } from '../draining-server.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { createScrubber, secretVariables } from '../replay/scrub.ts';
import { createTapeClient } from '../replay/tape-client.ts';
import { startServiceProcess } from '../service-process.ts';
import { createReplayModel } from './server/replay-model.ts';
import { readReplayOptions } from './server/replay-options.ts';

/**
 * The process of a replayed model: an OpenAI-compatible server on the binding's `service://<id>` that draws its replies
 * from the deployment's tape. Without `binding` it is the whole process (see `startServiceProcess`).
 */
export function startModelService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const tape = createTapeClient();
  const scrub = createScrubber(secretVariables(process.env, service.secrets));
  const model = createReplayModel(readReplayOptions(service.options), tape, scrub);
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    tape.update(bound.peers);
    const { server, drain } = createDrainingServer((request, response) => {
      void model.answer(request, response);
    });
    const report = { [address]: await listenAt(server, at) };
    const close = async () => {
      await drain(bound.drainMs);
      model.close();
      tape.close();
    };
    return { report, close };
  };
  return startServiceProcess(
    { listen, peers: (peers) => tape.update(peers), missing: () => tape.missing(), stats: () => ({ tokens: model.tokens() }) },
    binding,
  );
}
