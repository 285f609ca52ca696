import { mkdirSync } from 'node:fs';
import { fail, type Plan } from '../../../compiler/contracts/index.ts';
import { cleanProcesses, processLeftovers } from '../process/clean.ts';
import { runProcessJob } from '../process/job.ts';
import { superviseDeployment } from '../supervise/deployment.ts';
import type { SuperviseSettings } from '../supervise/supervisor.ts';
import type { Target } from '../target.ts';
import { cleanDocker, dockerLeftovers } from './clean.ts';
import { checkDockerTarget, openEngine } from './engine.ts';
import { dockerHost } from './host.ts';
import { ensureNodeImage } from './image.ts';

/** Units and services as containers of a Docker engine on this machine; jobs stay processes beside them. */
export function createDockerTarget({ image, ...settings }: SuperviseSettings & { readonly image: string }): Target {
  return {
    check: () => checkDockerTarget(image),
    async deploy(request, context) {
      if (!image) refuseNative(request.plan);
      mkdirSync(request.folder, { recursive: true });
      const docker = await openEngine();
      const host = await prepared(async () => dockerHost(docker, image || (await ensureNodeImage(docker)), request));
      return superviseDeployment(request, context, host, settings);
    },
    runJob: runProcessJob,
    clean: async () => [...(await cleanDocker()), ...(await cleanProcesses())],
    leftovers: async () => [...(await dockerLeftovers()), ...processLeftovers()],
  };
}

/** Our own image holds Node.js and the libraries it needs; native packages of services are not in it. */
function refuseNative({ services }: Plan): void {
  const native = services.find(({ kind, options }) => kind === 'model' && options.backend === 'llama-cpp');
  if (native === undefined) return;
  fail('DMAS_ENV_TARGET', `Service ${native.id} runs on llama.cpp, whose native library is not in the image of this target.`, {
    fix: 'Use target process, or run a llama.cpp server yourself and name it with backend openai-compatible.',
  });
}

async function prepared<T>(prepare: () => Promise<T>): Promise<T> {
  try {
    return await prepare();
  } catch (error) {
    fail('DMAS_ENV_TARGET', `The Docker engine could not make the image or network of the deployment: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
