import { filesFolder, loader } from './code.ts';

export interface HelperOptions {
  readonly image: string;
  readonly pullSecrets: readonly string[];
  readonly labels: { readonly [label: string]: string };
  readonly annotations: { readonly [annotation: string]: string };
  readonly serviceAccount: string;
}

interface Helper {
  readonly port?: number;
  /** Path that answers 2xx when it is ready. */
  readonly ready?: string;
  readonly environment?: { readonly [name: string]: string };
  readonly volume: object;
  readonly vcpu: number;
  readonly memoryMb: number;
  readonly graceSeconds: number;
  readonly restart: 'Always' | 'Never';
}

/** Size of the folder for temporary files; also what a pod may fill of its node's disk. */
const scratchMb = 1024;

/** The pod of a program of our own beside the plan: a job, a collector. It has as few rights as a pod can have. */
export function helperPodSpec(options: HelperOptions, helper: Helper): object {
  const { port, ready } = helper;
  return {
    restartPolicy: helper.restart,
    terminationGracePeriodSeconds: helper.graceSeconds,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...(options.serviceAccount === '' ? {} : { serviceAccountName: options.serviceAccount }),
    ...(options.pullSecrets.length === 0 ? {} : { imagePullSecrets: options.pullSecrets.map((name) => ({ name })) }),
    securityContext: { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'main',
        image: options.image,
        command: ['node', '--input-type=module', '-e', loader],
        env: Object.entries({ DMAS_FILES: filesFolder, TMPDIR: '/tmp', ...helper.environment }).map(([name, value]) => ({ name, value })),
        ...(port === undefined ? {} : { ports: [{ name: 'http', containerPort: port }] }),
        ...(port === undefined || ready === undefined
          ? {}
          : { readinessProbe: { httpGet: { path: ready, port: 'http' }, periodSeconds: 1, failureThreshold: 3 } }),
        resources: {
          requests: { cpu: `${Math.round(helper.vcpu * 1000)}m`, memory: `${helper.memoryMb}Mi` },
          limits: { memory: `${helper.memoryMb}Mi` },
        },
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        volumeMounts: [
          { name: 'files', mountPath: filesFolder, readOnly: true },
          { name: 'scratch', mountPath: '/tmp' },
        ],
      },
    ],
    volumes: [helper.volume, { name: 'scratch', emptyDir: { sizeLimit: `${scratchMb}Mi` } }],
  };
}
