import { fail } from '../../contracts/index.ts';
import type { StandingMember } from '../standing.ts';
import { growth } from './autoscaling.ts';
import { type Context, componentOf } from './context.ts';
import { environmentOf } from './environment.ts';
import type { KubernetesObject } from './input.ts';
import { containerSecurity, runAsUser } from './security.ts';
import type { ServerlessSettings } from './settings.ts';
import { mountsOf } from './volumes.ts';
import { commandOf, imageOf, resourcesOf } from './workloads.ts';

/** Longest a revision may take over one request without another setting of the cluster (`max-revision-timeout-seconds`). */
const longestRequestSeconds = 600;
/** Where Knative's proxy in each pod listens for requests, health checks and metrics (knative.dev/docs/serving/queue-proxy). */
const proxyPorts = [8_012, 8_013, 8_022, 8_112, 9_090, 9_091];

/** The unit that becomes a Knative Service. @throws DmasError `DMAS_EXPORT` where no unit can, with why */
export function serverlessEntry({ members, podOf, accessOf, input }: Context): StandingMember {
  const { plan } = input;
  const entry = members.find(({ id }) => id === plan.ingress.unit);
  if (entry === undefined) return fail('DMAS_EXPORT', 'This layout has no unit that takes requests.');
  const cannot = (why: string, fix: string) =>
    fail('DMAS_EXPORT', `Unit ${entry.id} takes the requests and cannot be a Knative Service: ${why}.`, { fix });
  if (entry.program !== null) cannot('somebody else built it', 'Export with --format kubernetes.');
  if (plan.ingress.entry.kind === 'topic')
    cannot(
      'the answer to a request comes to the replica that took it, and replicas of a Knative Service have no address',
      'Export with --format kubernetes.',
    );
  if (podOf(entry.id).sticky)
    cannot(
      'a session belongs to one of its replicas',
      'Use a state store that replicas share (state.store: file), or export with --format kubernetes.',
    );
  const callers = accessOf(entry.id).accepts.filter((id) => id !== entry.id && !isGateway(input.plan, id));
  if (callers.length > 0 || entry.ports.length > 1)
    cannot(
      `it also listens for ${callers.join(', ') || 'other units'}, and Knative gives one port`,
      'Put the entry agent into a unit of its own, or export with --format kubernetes.',
    );
  return entry;
}

export const isGateway = (plan: Context['input']['plan'], id: string): boolean =>
  plan.services.some((service) => service.id === id && service.kind === 'gateway');

/**
 * The entry as a Knative Service. Requests it takes at once are what a replica had under way at its capacity; the platform starts
 * and ends replicas by that number. Pod-level security needs feature flags there, so all of it stands on the container.
 */
export function knativeService(context: Context, entry: StandingMember, settings: ServerlessSettings): KubernetesObject {
  const { input, nameOf, metadata, prefix, podOf } = context;
  const name = nameOf(entry.id);
  const component = componentOf(name, prefix);
  const capacity = input.facts?.capacityPerReplica[entry.id];
  const { labels, annotations } = metadata('', component, { labels: podOf(entry.id).selector });
  const scale = {
    'autoscaling.knative.dev/min-scale': String(settings.minScale),
    'autoscaling.knative.dev/max-scale': String(settings.maxScale === 0 ? growth * entry.replicas : settings.maxScale),
    'autoscaling.knative.dev/window': `${settings.idleSeconds}s`,
  };
  const container = {
    image: imageOf(context, entry),
    ...commandOf(context, entry),
    env: environmentOf(context, entry),
    ports: entry.ports.map(({ port }) => ({ name: 'http1', containerPort: port })),
    resources: resourcesOf(context, entry),
    securityContext: {
      ...containerSecurity(entry),
      runAsNonRoot: true,
      runAsUser,
      runAsGroup: runAsUser,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: writable(context, entry).map(({ volume, at, readOnly }) => ({
      name: volume.name,
      mountPath: at,
      ...(readOnly === true ? { readOnly } : {}),
    })),
  };
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: metadata(name, component),
    spec: {
      template: {
        metadata: { labels, annotations: { ...annotations, ...input.podAnnotations, ...scale } },
        spec: {
          serviceAccountName: input.serviceAccount ?? name,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          ...(input.pullSecrets === undefined || input.pullSecrets.length === 0
            ? {}
            : { imagePullSecrets: input.pullSecrets.map((secret) => ({ name: secret })) }),
          // Zero: no bound. Without a measurement the platform's own default decides how many it sends to one.
          containerConcurrency: capacity === undefined ? 0 : Math.max(1, Math.ceil(capacity.concurrency)),
          timeoutSeconds: Math.min(longestRequestSeconds, Math.ceil(input.plan.ingress.deadlineMs / 1_000)),
          containers: [container],
          volumes: writable(context, entry).map(({ volume }) => volume),
        },
      },
    },
  };
}

/** Volumes that Serving takes without a feature flag: no claims. */
function writable(context: Context, entry: StandingMember) {
  const mounts = mountsOf(context, entry);
  if (mounts.some(({ volume }) => 'persistentVolumeClaim' in volume))
    fail('DMAS_EXPORT', `Unit ${entry.id} keeps state on a volume, which Knative gives only behind a feature flag.`, {
      fix: 'Export with --format kubernetes.',
    });
  return mounts;
}

/** Requests come through the platform's own proxy, in the pod and before it. */
export function openToProxy(policy: KubernetesObject): KubernetesObject {
  const spec = policy.spec as { readonly ingress: readonly object[]; readonly [field: string]: unknown };
  const ports = proxyPorts.map((port) => ({ protocol: 'TCP', port }));
  return { ...policy, spec: { ...spec, ingress: [...spec.ingress, { ports }] } };
}
