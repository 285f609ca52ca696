import type { EmitInput, EmittedFile } from '../../emitter.ts';
import { claimLines, noteLines, rightsTable } from '../../readme-parts.ts';
import { type Context, componentOf, contextOf } from '../context.ts';
import type { KubernetesObject } from '../input.ts';
import { isGateway, knativeService, openToProxy, serverlessEntry } from '../knative-service.ts';
import { objectsIn } from '../objects.ts';
import { secretTemplatesOf } from '../secrets.ts';
import { commonInput, namespaceOf, type ServerlessSettings } from '../settings.ts';
import { isStateful } from '../workloads.ts';
import { imageFiles } from './image.ts';
import { secretFiles, secretSteps, shell } from './parts.ts';
import { printObjects } from './yaml.ts';

/**
 * The entry as a Knative Service, everything it calls as plain manifests: replicas of those are called one by one by their
 * addresses, which a Knative Service hides. A gateway goes: the platform balances.
 */
export function emitServerless(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[] {
  const settings = options as ServerlessSettings;
  // Checked as it is: a gateway says whether sessions belong to one replica.
  const whole = serverlessEntry(contextOf(commonInput(input, settings)));
  const context = contextOf({ ...commonInput(withoutGateway(input), settings), autoscaling: { by: 'cpu' } });
  const entry = context.members.find(({ id }) => id === whole.id) ?? whole;
  const entryName = context.nameOf(entry.id);
  const isEntrys = ({ metadata }: KubernetesObject) =>
    metadata.labels['app.kubernetes.io/component'] === componentOf(entryName, context.prefix);
  const replaced = new Set(['Deployment', 'StatefulSet', 'Service', 'PodDisruptionBudget', 'HorizontalPodAutoscaler']);
  const objects = objectsIn(context);
  const around = objects.filter((object) => isEntrys(object) && !replaced.has(object.kind));
  const inner = objects.filter((object) => !isEntrys(object));
  const service = knativeService(context, entry, settings);
  const head = [`Written by dmas-opt from ${input.facts.origin}.`];
  const own = [...around.map((object) => (object.kind === 'NetworkPolicy' ? openToProxy(object) : object)), service];
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace: namespaceOf(input, settings),
    resources: ['service.yaml', ...(inner.length === 0 ? [] : ['callees.yaml'])],
  };
  return [
    { path: 'README.md', content: readme(input, settings, context, service, inner.length > 0) },
    { path: 'kustomization.yaml', content: printObjects([kustomization], head) },
    { path: 'service.yaml', content: printObjects(own, head) },
    ...(inner.length === 0 ? [] : [{ path: 'callees.yaml', content: printObjects(inner, head) }]),
    ...secretFiles(secretTemplatesOf(context)),
    ...imageFiles(input, settings.nodeImage),
  ];
}

/** The platform balances in its place. */
function withoutGateway(input: EmitInput): EmitInput {
  const { plan, access } = input;
  const { gateway: _, ...ingress } = plan.ingress;
  const stays = (id: string) => !isGateway(plan, id);
  const members = access.members.filter(({ id }) => stays(id)).map((member) => ({ ...member, accepts: member.accepts.filter(stays) }));
  return { ...input, plan: { ...plan, services: plan.services.filter(({ id }) => stays(id)), ingress }, access: { members } };
}

function readme(input: EmitInput, settings: ServerlessSettings, context: Context, service: KubernetesObject, hasCallees: boolean): string {
  const { plan, facts } = input;
  const namespace = namespaceOf(input, settings);
  const kubectl = `kubectl -n ${namespace}`;
  const image = context.input.images['*'] ?? '';
  const { name } = service.metadata;
  const inner = context.pods.filter((pod) => pod.members.every(({ id }) => id !== plan.ingress.unit));
  const kinds = [...new Set(inner.map((pod) => (isStateful(pod) ? 'statefulset' : 'deployment')))].sort();
  const lines = [
    `# ${plan.application} on Knative`,
    '',
    `${facts.origin}. Configuration ${plan.configurationId}. Needs Knative Serving 1.12 or newer; nothing here needs dmas-opt.`,
    ...noteLines(facts),
    '',
    '## Apply',
    '',
    ...shell([`docker build -t ${image} image/`, `docker push ${image}`, `kubectl create namespace ${namespace}`]),
    ...secretSteps(context, kubectl),
    '',
    ...shell(['kubectl apply --server-side --field-manager=dmas-opt -k .']),
    '',
    'The image must have the name it has in `service.yaml`, with the registry the cluster reads: export again with `--set image=registry.example/name:tag`.',
    '',
    '## Verify',
    '',
    ...shell([
      `${kubectl} wait --for=condition=Ready ksvc/${name} --timeout=5m`,
      ...kinds.map((kind) => `${kubectl} rollout status ${kind} -l app.kubernetes.io/instance=${context.prefix} --timeout=5m`),
      `curl -i "$(${kubectl} get ksvc ${name} -o jsonpath='{.status.url}')" -d '{}'   # with an input of yours`,
    ]),
    '',
    ...claimLines(facts),
    '',
    '## Roll back',
    '',
    'Every change is a revision, and all stay:',
    '',
    ...shell([
      `${kubectl} get revisions -l serving.knative.dev/service=${name}`,
      `${kubectl} patch ksvc ${name} --type=merge -p '{"spec":{"traffic":[{"revisionName":"${name}-00001","percent":100}]}}'`,
      ...inner.map((pod) => `${kubectl} rollout undo ${isStateful(pod) ? 'statefulset' : 'deployment'}/${pod.name}`),
    ]),
    '',
    `To take everything away: \`kubectl delete -k .\`.`,
    '',
    '## What a cold start costs',
    '',
    ...coldStart(input, settings, context),
    '',
    '## What does not go there',
    '',
    ...(hasCallees
      ? [
          `- ${inner.map((pod) => pod.name).join(', ')}: called replica by replica at their own addresses, which a Knative Service hides behind its own. They are Deployments and do not scale to zero.`,
        ]
      : ['- Nothing: the whole application is one unit.']),
    '- Units that keep a session in one replica, units on volumes, and entries that publish to a topic: the export refuses them and says what to change.',
    `- Requests of more than ${600} seconds, unless the cluster allows more (\`max-revision-timeout-seconds\`).`,
    ...(context.members.some(({ id }) => isGateway(plan, id))
      ? ['- The gateway of the layout: Knative balances in its place, by requests under way.']
      : []),
    '',
    '## Who may do what',
    '',
    'The network policy of the entry also opens the ports of Knative’s proxy in its pod, through which all requests come.',
    '',
    ...rightsTable(context.input.access),
    '',
  ];
  return lines.join('\n');
}

/** What a request waits that finds no replica, and what an idle replica would cost instead. */
function coldStart({ plan, facts }: EmitInput, { minScale, idleSeconds }: ServerlessSettings, context: Context): string[] {
  const entry = context.members.find(({ id }) => id === plan.ingress.unit);
  const startMs = facts.startMs[plan.ingress.unit];
  const wait =
    startMs === undefined
      ? 'How long a replica takes to start was not measured, so this price is unknown.'
      : `A request that finds no replica waits about ${Math.round(startMs)} ms longer: that is how long a replica took from its start until it took calls, measured with the image already there. Scheduling a pod comes on top, and the image when a node sees it for the first time.`;
  const { vcpu = 0, memoryMb = 0 } = entry?.resources ?? {};
  const kept = `One replica that always runs (\`--set minScale=1\`) costs ${(vcpu * 24).toFixed(1)} vCPU-hours and ${((memoryMb / 1_024) * 24).toFixed(1)} GB-hours a day instead.`;
  const now =
    minScale === 0
      ? `These files let the last replica go after ${idleSeconds} s without a request.`
      : `These files keep ${minScale} running, so only growth starts cold.`;
  return [wait, kept, now];
}
