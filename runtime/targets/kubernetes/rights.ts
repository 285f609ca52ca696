import { setMaxListeners } from 'node:events';
import { DmasError, type Problem } from '../../../compiler/contracts/index.ts';
import { readObject } from './apply.ts';
import { type Cluster, type ClusterOptions, openCluster } from './cluster.ts';
import { explained, problemOf } from './failures.ts';

/** What may be done with one resource of the namespace. */
export interface Right {
  readonly group: string;
  /** With its subresource: `pods/log`. */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** Without it things work, and the message says what is lost. */
  readonly without?: string;
}

const apply = ['get', 'list', 'create', 'patch', 'delete'] as const;

/** All that the target does; the Role of docs/kubernetes.md is this list. Server-side apply creates with `patch` and `create`. */
export const neededRights: readonly Right[] = [
  { group: '', resource: 'configmaps', verbs: apply },
  { group: '', resource: 'secrets', verbs: apply },
  { group: '', resource: 'services', verbs: apply },
  { group: '', resource: 'serviceaccounts', verbs: apply },
  { group: '', resource: 'pods', verbs: ['get', 'list', 'watch', 'delete'] },
  { group: '', resource: 'pods/log', verbs: ['get'] },
  { group: '', resource: 'pods/portforward', verbs: ['get', 'create'] },
  { group: 'apps', resource: 'deployments', verbs: [...apply, 'watch'] },
  { group: 'apps', resource: 'statefulsets', verbs: apply },
  { group: 'batch', resource: 'jobs', verbs: apply },
  { group: 'networking.k8s.io', resource: 'networkpolicies', verbs: apply },
  { group: 'policy', resource: 'poddisruptionbudgets', verbs: apply },
  {
    group: '',
    resource: 'persistentvolumeclaims',
    verbs: apply,
    without: 'layouts that keep state on disk do not deploy',
  },
  { group: '', resource: 'events', verbs: ['list'], without: 'a pod that does not start is explained without its events' },
  {
    group: '',
    resource: 'resourcequotas',
    verbs: ['list'],
    without: 'layouts that a quota has no room for are tried, and refused pod by pod',
  },
  {
    group: '',
    resource: 'limitranges',
    verbs: ['list'],
    without: 'pods that a limit range refuses are tried',
  },
  {
    group: 'autoscaling',
    resource: 'horizontalpodautoscalers',
    verbs: apply,
    without: 'nothing is scaled by itself, and none that a killed run left is found',
  },
];

/** A cluster that has not answered by then is taken for absent. */
const checkMs = 10_000;

/** What is missing to deploy into the namespace; nothing is created. */
export async function checkKubernetes(options: ClusterOptions): Promise<Problem[]> {
  let cluster: Cluster;
  try {
    cluster = await openCluster(options);
  } catch (error) {
    if (error instanceof DmasError) return [...error.problems];
    throw error;
  }
  const signal = AbortSignal.timeout(checkMs);
  // Every question listens to it.
  setMaxListeners(0, signal);
  try {
    const [missing, namespace] = await Promise.all([missingRights(cluster, signal), namespaceProblem(cluster, signal)]);
    return [...namespace, ...rightsProblems(cluster, missing)];
  } catch (error) {
    if (signal.aborted) return [problemOf(new Error(`no answer within ${checkMs / 1000} s`), 'it is asked for your rights', cluster)];
    return error instanceof DmasError ? [...error.problems] : [problemOf(error, 'it is asked for your rights', cluster)];
  }
}

/** Each right that the API server says the user does not have, verb by verb. */
export async function missingRights(cluster: Cluster, signal?: AbortSignal): Promise<Right[]> {
  const asked = await Promise.all(
    neededRights.map(async (right) => {
      const allowed = await Promise.all(right.verbs.map((verb) => isAllowed(cluster, right, verb, signal)));
      return { ...right, verbs: right.verbs.filter((_, index) => !allowed[index]) };
    }),
  );
  return asked.filter(({ verbs }) => verbs.length > 0);
}

async function isAllowed(cluster: Cluster, { group, resource }: Right, verb: string, signal?: AbortSignal): Promise<boolean> {
  const [name = '', subresource] = resource.split('/');
  return explained('it is asked for your rights', cluster, async () => {
    const review = await cluster.ask<{ readonly status?: { readonly allowed?: boolean } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      {
        ...(signal === undefined ? {} : { signal }),
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: {
            resourceAttributes: {
              namespace: cluster.namespace,
              verb,
              group,
              resource: name,
              ...(subresource === undefined ? {} : { subresource }),
            },
          },
        },
      },
    );
    return review.status?.allowed === true;
  });
}

/** Who has rights in the namespace alone may not see it; then it is taken to be there. */
async function namespaceProblem(cluster: Cluster, signal: AbortSignal): Promise<Problem[]> {
  const found = await readObject(cluster, `/api/v1/namespaces/${encodeURIComponent(cluster.namespace)}`, signal).catch((error: unknown) => {
    if ((error as { readonly status?: number }).status === 403) return undefined;
    throw error;
  });
  if (found !== null) return [];
  return [
    {
      code: 'DMAS_ENV_TARGET',
      severity: 'error',
      message: `The cluster of context ${cluster.context} has no namespace ${cluster.namespace}.`,
      fix: `Create it (kubectl create namespace ${cluster.namespace}), or set target.namespace.`,
    },
  ];
}

const rightText = ({ verbs, resource }: Right): string => `${verbs.join(', ')} ${resource}`;

function rightsProblems({ namespace }: Cluster, missing: readonly Right[]): Problem[] {
  const needed = missing.filter(({ without }) => without === undefined);
  const problems: Problem[] = missing
    .filter(({ without }) => without !== undefined)
    .map((right) => ({
      code: 'DMAS_ENV_TARGET',
      severity: 'warning',
      message: `You may not ${rightText(right)} in namespace ${namespace}: ${right.without}.`,
      fix: 'Add it to your Role if that matters; see docs/kubernetes.md.',
    }));
  if (needed.length === 0) return problems;
  return [
    {
      code: 'DMAS_ENV_TARGET',
      severity: 'error',
      message: `You may not do all that is needed in namespace ${namespace}. Missing: ${needed.map(rightText).join('; ')}.`,
      fix: 'Have the Role of docs/kubernetes.md bound to you, or set target.namespace to one where you may.',
    },
    ...problems,
  ];
}
