import { mkdirSync } from 'node:fs';
import { DmasError, fail, type Plan } from '../../../compiler/contracts/index.ts';
import { cleanProcesses, processLeftovers } from '../process/clean.ts';
import { runProcessJob } from '../process/job.ts';
import { superviseDeployment } from '../supervise/deployment.ts';
import type { SuperviseSettings } from '../supervise/supervisor.ts';
import type { Target } from '../target.ts';
import { cleanDocker, dockerLeftovers } from './clean.ts';
import { checkDockerTarget, openEngine, placeOf } from './engine.ts';
import { type DockerSettings, dockerHost } from './host.ts';

/** Units and services as containers of a Docker engine on this machine; jobs stay processes beside them. */
export function createDockerTarget(settings: SuperviseSettings & DockerSettings): Target {
  const { image } = settings;
  return {
    check: () => checkDockerTarget(image),
    async deploy(request, context) {
      if (!image) refuseNative(request.plan);
      mkdirSync(request.folder, { recursive: true });
      const place = await reached();
      return superviseDeployment(request, context, await dockerHost(place, settings, request), settings);
    },
    runJob: runProcessJob,
    clean: async (options) => [...(await cleanDocker(options)), ...(await cleanProcesses())],
    leftovers: async (options) => [...(await dockerLeftovers(options)), ...processLeftovers()],
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

async function reached() {
  try {
    return await placeOf(await openEngine());
  } catch (error) {
    if (error instanceof DmasError) throw error;
    fail('DMAS_ENV_TARGET', `The machine of the Docker engine is not found: ${(error as Error).message}.`, { cause: error });
  }
}
