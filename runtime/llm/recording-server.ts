import { join } from 'node:path';
import {
  cassetteSuffix,
  httpUrl,
  type Peers,
  type PlannedService,
  type ProcessBinding,
  type RecordRules,
} from '../../compiler/contracts/index.ts';
import { createDrainingServer } from '../draining-server.ts';
import { type Egress, installEgress } from '../egress/client.ts';
import type { StartedProcess } from '../process-life.ts';
import { listenAt } from '../protocols/wire/listen.ts';
import { firstOf } from '../replay/http.ts';
import { createRecorder } from '../replay/recorder.ts';
import { createScrubber, secretVariables } from '../replay/scrub.ts';
import { startServiceProcess } from '../service-process.ts';
import { createRecordingProxy } from './server/recording-proxy.ts';

/**
 * The process of a recording proxy: stands where a model endpoint stood, passes everything on to it, and writes a cassette
 * into the state folder. Options: `target`, `upstream` (a URL or `service://…`), `content`, `ignore`. Without `binding` it is
 * the whole process (see `startServiceProcess`).
 */
export function startModelService(service: PlannedService, binding?: ProcessBinding): Promise<StartedProcess> {
  const address = `service://${service.id}`;
  const { target, upstream, content, ignore } = service.options as unknown as RecordRules & {
    readonly target: string;
    readonly upstream: string;
  };
  const ours = upstream.startsWith('service://');
  let url = ours ? undefined : upstream;
  let egress: Egress | undefined;
  const learn = (peers: Peers) => {
    egress?.update(peers);
    const at = ours ? firstOf(peers, upstream) : undefined;
    if (at !== undefined) url = `${httpUrl(at)}/v1`;
  };
  const listen = async (bound: ProcessBinding) => {
    const at = bound.listen[address];
    if (!at) throw new Error(`the binding says nothing of ${address}`);
    egress = installEgress(service.egress, bound);
    learn(bound.peers);
    const file = join(bound.stateDir, `${service.id}.${bound.replica}${cassetteSuffix}`);
    const recorder = createRecorder(file, { content, ignore }, createScrubber(secretVariables(process.env, service.secrets)));
    const proxy = createRecordingProxy({ target, upstream: () => url, ours, recorder });
    const { server, drain } = createDrainingServer((request, response) => void proxy.answer(request, response));
    const report = { [address]: await listenAt(server, at) };
    const close = async () => {
      await drain(bound.drainMs);
      await proxy.close();
      await recorder.close();
      egress?.close();
    };
    return { report, close };
  };
  return startServiceProcess(
    { listen, peers: learn, missing: () => [...(url === undefined ? [upstream] : []), ...(egress?.missing() ?? [])] },
    binding,
  );
}
