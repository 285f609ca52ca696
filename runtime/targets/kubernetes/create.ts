import type { Target } from '../target.ts';
import { type Admission, createAdmission } from './admission.ts';
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
  let admitting: Promise<Admission> | undefined;
  const admission = () => {
    admitting ??= cluster().then((opened) => createAdmission(opened, options));
    return admitting;
  };
  return {
    check: () => checkKubernetes(options),
    deploy: async (request, context) => {
      const counted = await (await admission()).admit(request);
      try {
        return await deployOnKubernetes(await cluster(), options, request, context);
      } finally {
        counted();
      }
    },
    runJob: async (job, context) => runKubernetesJob(await cluster(), options, job, context),
    clean: () => cleanKubernetes(options),
    leftovers: () => kubernetesLeftovers(options),
    room: async () => (await admission()).room(),
  };
}
