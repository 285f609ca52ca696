import { stringify } from 'yaml';
import type { Json, Plan } from '../../contracts/index.ts';
import { rayServiceName } from './names.ts';
import { type RayOptions, readPairs } from './options.ts';
import { bookedCpus, type ServedPool, serveConfig, servePort } from './serve-config.ts';

type Fields = { readonly [key: string]: Json };

/** Variables every process of Ray gets: its statistics and those of vLLM would phone home. */
const quiet: Fields = { RAY_USAGE_STATS_ENABLED: '0', VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1' };

/** Head of a cluster that serves models elsewhere, as in KubeRay’s own sample for Serve LLM (v1.7.0, `ray-service.llm-serve.yaml`). */
const headResources: Fields = { requests: { cpu: '2', memory: '5Gi' }, limits: { cpu: '2', memory: '5Gi' } };

/** The RayService (`ray.io/v1`) that serves the pools of a plan; a worker group for each, a pod for each replica. */
export function rayService(plan: Plan, pools: readonly ServedPool[], options: RayOptions, labels: Fields): Fields {
  const name = rayServiceName(plan);
  const image = options.rayImage === '' ? `rayproject/ray-llm:${options.rayVersion}-py312-cu130` : options.rayImage;
  return {
    apiVersion: 'ray.io/v1',
    kind: 'RayService',
    metadata: { name, labels },
    spec: {
      serveConfigV2: stringify(serveConfig(pools), { lineWidth: 0, aliasDuplicateObjects: false }),
      rayClusterConfig: {
        rayVersion: options.rayVersion,
        // Pods follow what Serve asks for; without it Ray would wait for ever for a pod nobody starts.
        ...(pools.some(grows) ? { enableInTreeAutoscaling: true } : {}),
        headGroupSpec: { rayStartParams: { 'num-cpus': '0', 'dashboard-host': '0.0.0.0' }, template: head(image, labels) },
        workerGroupSpecs: pools.map((pool) => workers(pool, image, options, labels)),
      },
    },
  };
}

const grows = ({ maxReplicas }: ServedPool): boolean => maxReplicas > 1;

function head(image: string, labels: Fields): Fields {
  return {
    metadata: { labels },
    spec: {
      securityContext: podSecurity,
      containers: [
        {
          name: 'ray-head',
          image,
          env: environment(''),
          ports: [
            { name: 'serve', containerPort: servePort },
            { name: 'metrics', containerPort: 8080 },
            { name: 'gcs-server', containerPort: 6379 },
            { name: 'dashboard', containerPort: 8265 },
            { name: 'client', containerPort: 10001 },
          ],
          resources: headResources,
          securityContext: containerSecurity,
        },
      ],
    },
  };
}

function workers(pool: ServedPool, image: string, options: RayOptions, labels: Fields): Fields {
  const { replicas, maxReplicas } = pool;
  const selector = readPairs('nodeSelector', options.nodeSelector);
  return {
    groupName: `gpu-${pool.name}`,
    replicas,
    minReplicas: 1,
    maxReplicas,
    rayStartParams: {},
    template: {
      metadata: { labels: { ...labels, 'dmas-opt/pool': pool.name } },
      spec: {
        automountServiceAccountToken: false,
        securityContext: podSecurity,
        ...(Object.keys(selector).length === 0 ? {} : { nodeSelector: selector }),
        // Nodes with GPUs commonly keep everything else away by this taint.
        tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
        containers: [
          {
            name: 'ray-worker',
            image,
            env: environment(options.hfSecret),
            resources: resourcesOf(pool),
            securityContext: containerSecurity,
          },
        ],
      },
    },
  };
}

/** One replica in one pod: its GPUs, a CPU for each of their processes and those Ray books, or what the layout says. */
function resourcesOf({ gpusPerReplica, options }: ServedPool): Fields {
  const given = (name: string) => (typeof options[name] === 'number' && Number(options[name]) > 0 ? Number(options[name]) : undefined);
  const cpu = String(Math.max(given('vcpu') ?? gpusPerReplica + bookedCpus, bookedCpus));
  const memoryMb = given('memoryMb');
  const amounts: Fields = {
    cpu,
    ...(memoryMb === undefined ? {} : { memory: `${memoryMb}Mi` }),
    'nvidia.com/gpu': String(gpusPerReplica),
  };
  return { requests: amounts, limits: amounts };
}

function environment(hfSecret: string): Json[] {
  const fixed = Object.entries(quiet).map(([name, value]) => ({ name, value }));
  const key = { name: 'HF_TOKEN', valueFrom: { secretKeyRef: { name: hfSecret, key: 'HF_TOKEN' } } };
  return hfSecret === '' ? fixed : [...fixed, key];
}

/** User and group of Ray’s images, which write to their home, so their root file system stays writable. */
const podSecurity: Fields = {
  runAsNonRoot: true,
  runAsUser: 1000,
  runAsGroup: 100,
  seccompProfile: { type: 'RuntimeDefault' },
};
const containerSecurity: Fields = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
