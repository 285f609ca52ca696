import { type Bundle, fail } from '../../../compiler/contracts/index.ts';
import type { Deployment, DeployRequest, Target, UpdateRequest } from '../target.ts';
import { type Admission, createAdmission } from './admission.ts';
import { cleanKubernetes, kubernetesLeftovers } from './clean.ts';
import { type Cluster, openCluster } from './cluster.ts';
import { deployOnKubernetes } from './deployment.ts';
import { checkDelivery, createDelivery, type Delivery, deliversImages } from './images/deliver.ts';
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
  let delivering: Promise<Delivery> | undefined;
  const delivery = () => {
    delivering ??= cluster().then(({ context }) => createDelivery(options, context));
    return delivering;
  };
  /** Names of delivered images by what is inside. */
  const images = new Map<string, string>();
  const imageOf = (bundles: readonly Bundle[]) =>
    images.get(contentOf(bundles)) ?? fail('DMAS_DEPLOY_FAILED', 'The image was not delivered.');
  const deliverFor = async ({ plan, bundles }: Pick<DeployRequest, 'plan' | 'bundles'>): Promise<KubernetesOptions> => {
    if (!deliversImages(options)) return options;
    const image = await (await delivery()).application(plan.application, bundles);
    images.set(contentOf(bundles), image);
    return { ...options, image, imageOf };
  };
  const withBase = async () => (deliversImages(options) ? { ...options, image: await (await delivery()).base() } : options);
  return {
    check: async () => [...(await checkKubernetes(options)), ...(await checkDelivery(options))],
    deploy: async (request, context) => {
      const counted = await (await admission()).admit(request);
      try {
        const delivered = await deliverFor(request);
        const deployment = await deployOnKubernetes(await cluster(), delivered, request, context);
        return deliversImages(options) ? deliveringUpdates(deployment, deliverFor) : deployment;
      } finally {
        counted();
      }
    },
    runJob: async (job, context) => runKubernetesJob(await cluster(), await withBase(), job, context),
    clean: () => cleanKubernetes(options),
    leftovers: () => kubernetesLeftovers(options),
    room: async () => (await admission()).room(),
  };
}

const contentOf = (bundles: readonly Bundle[]): string =>
  bundles
    .map(({ sha256 }) => sha256)
    .sort()
    .join(' ');

/** The code of the next layout is where the nodes find it before the present one is touched. */
function deliveringUpdates(deployment: Deployment, deliver: (request: UpdateRequest) => Promise<unknown>): Deployment {
  const update = deployment.update.bind(deployment);
  deployment.update = async (request, ...rest) => {
    await deliver(request);
    return update(request, ...rest);
  };
  return deployment;
}
