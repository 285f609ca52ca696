import { fail } from '../compiler/contracts/index.ts';
import type { Autoscaler, KubernetesService, NamespaceObjects, Workload } from '../compiler/import/kubernetes.ts';

/**
 * Lists what a namespace runs, through the user's own kubeconfig. Only `list` calls, and none for secrets; what the user
 * may not list is noted and left out.
 *
 * @throws DmasError DMAS_ENV_PEER_MISSING, DMAS_ENV_TARGET when no cluster answers
 */
export async function readNamespace(namespace: string): Promise<NamespaceObjects> {
  const { KubeConfig, AppsV1Api, CoreV1Api, AutoscalingV2Api } = await import('@kubernetes/client-node').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return fail('DMAS_ENV_TARGET', 'reading a Kubernetes namespace needs the package @kubernetes/client-node', {
      fix: 'npm install @kubernetes/client-node@1',
    });
  });
  const config = new KubeConfig();
  config.loadFromDefault();
  if (config.getCurrentCluster() === null)
    fail('DMAS_ENV_TARGET', 'there is no Kubernetes cluster in your kubeconfig', {
      fix: 'Set KUBECONFIG, or choose a context: kubectl config use-context NAME',
    });
  const [apps, core, autoscaling] = [
    config.makeApiClient(AppsV1Api),
    config.makeApiClient(CoreV1Api),
    config.makeApiClient(AutoscalingV2Api),
  ];
  const unreadable: string[] = [];
  /** All pages of a list, or nothing and a note. */
  const list = async <T>(what: string, page: (from: { namespace: string; limit: number; _continue?: string }) => Promise<Page<T>>) => {
    const items: T[] = [];
    try {
      for (let next: string | undefined = ''; next !== undefined; ) {
        const answer: Page<T> = await page({ namespace, limit: 500, ...(next === '' ? {} : { _continue: next }) });
        items.push(...answer.items);
        next = answer.metadata?._continue || undefined;
      }
      return items;
    } catch (error) {
      const status = (error as { code?: unknown }).code;
      if (status === 403 || status === 404) {
        unreadable.push(`${what}: ${status === 403 ? 'forbidden' : 'not served by this cluster'}`);
        return [];
      }
      return fail('DMAS_ENV_TARGET', `listing ${what} of namespace ${namespace} failed: ${reasonOf(error)}`, {
        fix: `Check that kubectl -n ${namespace} get ${what} works.`,
      });
    }
  };
  const kinds = <T>(kind: Workload['kind'], found: readonly T[]): Workload[] =>
    found.map((each) => ({ ...(each as Omit<Workload, 'kind'>), kind }));
  const workloads = [
    ...kinds('Deployment', await list('deployments', (from) => apps.listNamespacedDeployment(from))),
    ...kinds('StatefulSet', await list('statefulsets', (from) => apps.listNamespacedStatefulSet(from))),
    ...kinds('DaemonSet', await list('daemonsets', (from) => apps.listNamespacedDaemonSet(from))),
  ];
  const services = (await list('services', (from) => core.listNamespacedService(from))) as readonly KubernetesService[];
  const autoscalers = (await list('horizontalpodautoscalers', (from) =>
    autoscaling.listNamespacedHorizontalPodAutoscaler(from),
  )) as readonly Autoscaler[];
  const maps = await list('configmaps', (from) => core.listNamespacedConfigMap(from));
  const configMaps = Object.fromEntries(maps.map((map) => [map.metadata?.name ?? '', map.data ?? {}]));
  return { namespace, workloads, services, autoscalers, configMaps, unreadable };
}

interface Page<T> {
  readonly items: readonly T[];
  readonly metadata?: { readonly _continue?: string };
}

const reasonOf = (error: unknown): string => {
  const { code, message, cause } = error as { code?: unknown; message?: string; cause?: { message?: string } };
  return typeof code === 'number' ? `HTTP status ${code}` : ((cause?.message ?? message ?? String(error)).split('\n')[0] ?? 'no answer');
};
