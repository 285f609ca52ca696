import type { KubernetesObject } from './cluster.ts';
import { jobRole } from './job.ts';
import { digestOf, labels, labelValue } from './labels.ts';
import type { StagedMember } from './staged.ts';
import { tracesRole } from './traces.ts';

interface Ways {
  /** First part of every name. */
  readonly name: string;
  readonly deploymentId: string;
  readonly members: readonly StagedMember[];
}

/** Beside what agents need: everybody may hand in spans, and jobs may call whom users call. Rules add up. */
export function waysOf({
  name,
  deploymentId,
  members,
}: Ways): readonly Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata' | 'spec'>[] {
  const ofDeployment = { [labels.deployment]: labelValue(deploymentId) };
  const policy = (suffix: string, spec: object) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `${name}-${suffix}` },
    spec,
  });
  const traces = { matchLabels: { ...ofDeployment, [labels.role]: tracesRole } };
  const entries = members.filter(({ publicPort }) => publicPort !== null);
  return [
    policy('may-send-spans', {
      podSelector: { matchLabels: ofDeployment },
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: traces }] }],
    }),
    ...entries.map(({ id, publicPort }) =>
      // Named after whom it is about: two layouts may stand side by side.
      policy(`takes-jobs-${digestOf(`${id}:${publicPort}`, 6)}`, {
        podSelector: { matchLabels: { ...ofDeployment, [labels.member]: labelValue(id) } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { [labels.role]: jobRole } } }], ports: [{ port: publicPort }] }],
      }),
    ),
  ];
}
