import { mkdirSync } from 'node:fs';
import { superviseDeployment } from '../supervise/deployment.ts';
import { failOnDisk } from '../supervise/disk.ts';
import type { ReplicaHost } from '../supervise/host.ts';
import type { SuperviseSettings } from '../supervise/supervisor.ts';
import type { DeployRequest, Target } from '../target.ts';
import { checkProcessTarget } from './check.ts';
import { cleanProcesses, processLeftovers } from './clean.ts';
import { processHost } from './host.ts';
import { runProcessJob } from './job.ts';

/** Units and services as processes of this machine, bound to 127.0.0.1 and unix sockets. */
export function createProcessTarget(settings: SuperviseSettings): Target {
  return {
    check: checkProcessTarget,
    async deploy(request, context) {
      return superviseDeployment(request, context, openHost(request), settings);
    },
    runJob: runProcessJob,
    clean: cleanProcesses,
    leftovers: async () => processLeftovers(),
  };
}

function openHost(request: DeployRequest): ReplicaHost {
  try {
    mkdirSync(request.folder, { recursive: true });
    return processHost(request.deploymentId, request.folder, request.sourceFolder ?? request.folder);
  } catch (error) {
    failOnDisk(error);
    throw error;
  }
}
