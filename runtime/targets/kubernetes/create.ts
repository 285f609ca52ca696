import type { Target } from '../target.ts';
import { cleanKubernetes, kubernetesLeftovers } from './clean.ts';
import { type Cluster, openCluster } from './cluster.ts';
import { deployOnKubernetes } from './deployment.ts';
import { runKubernetesJob } from './job.ts';
import type { KubernetesOptions } from './options.ts';
import { checkKubernetes } from './rights.ts';

/** Units, services and jobs as pods of one namespace. Kubernetes is what schedules and restarts them. */
export function createKubernetesTarget(options: KubernetesOptions): Target {
  let opening: Promise<Cluster> | undefined;
  const cluster = () => {
    opening ??= openCluster(options);
    return opening;
  };
  return {
    check: () => checkKubernetes(options),
    deploy: async (request, context) => deployOnKubernetes(await cluster(), options, request, context),
    runJob: async (job, context) => runKubernetesJob(await cluster(), options, job, context),
    clean: () => cleanKubernetes(options),
    leftovers: () => kubernetesLeftovers(options),
  };
}
