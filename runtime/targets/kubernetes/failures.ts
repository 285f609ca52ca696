import { DmasError, type ErrorCode, type Problem } from '../../../compiler/contracts/index.ts';
import { ApiError, type Cluster } from './cluster.ts';

const rightsHelp = 'docs/kubernetes.md has the Role with all rights needed; dmas-opt doctor shows which are missing.';

/** What an answer of the API server means to the user, with what to do about it. */
export function problemOf(error: unknown, doing: string, cluster: Pick<Cluster, 'namespace' | 'context'>): Problem {
  const say = (code: ErrorCode, message: string, fix: string): Problem => ({ code, severity: 'error', message, fix });
  if (!(error instanceof ApiError)) {
    const cause = error as NodeJS.ErrnoException;
    return say(
      'DMAS_ENV_TARGET',
      `The API server of context ${cluster.context} does not answer while ${doing}: ${cause.message || cause.code || String(error)}.`,
      'Check that kubectl get pods works with the same kubeconfig and context.',
    );
  }
  const said = oneLine(error.message);
  switch (error.status) {
    case 401:
      return say('DMAS_ENV_TARGET', `The cluster of context ${cluster.context} does not know you (401) while ${doing}.`, 'Log in again.');
    case 403:
      return forbidden(said, doing, cluster, say);
    case 404:
      return say(
        'DMAS_ENV_TARGET',
        `Not found while ${doing}: ${said}.`,
        `Check that namespace ${cluster.namespace} exists: kubectl get namespace ${cluster.namespace}.`,
      );
    case 409:
      return say(
        'DMAS_DEPLOY_FAILED',
        `Somebody else holds fields of the object while ${doing}: ${conflictText(error)}.`,
        'Nothing was changed. Use another namespace, or let that manager give up those fields.',
      );
    case 422:
      return say(
        'DMAS_DEPLOY_FAILED',
        `The cluster refuses an object while ${doing}: ${said}.`,
        'Mend the field named; see target options.',
      );
    case 429:
      return say('DMAS_ENV_TARGET', `The API server throttles us while ${doing} (429).`, 'Try again when the cluster is less busy.');
    default:
      return say(
        'DMAS_ENV_TARGET',
        `The API server answered ${error.status} while ${doing}: ${said}.`,
        'Try again; ask who runs the cluster.',
      );
  }
}

type Say = (code: ErrorCode, message: string, fix: string) => Problem;

/** Quotas, admission policies and missing rights all come as 403; the words tell them apart. */
function forbidden(said: string, doing: string, { namespace }: Pick<Cluster, 'namespace'>, say: Say): Problem {
  if (/exceeded quota/i.test(said))
    return say('DMAS_DEPLOY_FAILED', `The quota of namespace ${namespace} has no room while ${doing}: ${said}.`, quotaHelp);
  if (/violates PodSecurity/i.test(said))
    return say('DMAS_DEPLOY_FAILED', `The pod security policy of namespace ${namespace} refuses the pod: ${said}.`, policyHelp);
  if (/admission webhook|denied the request|admission policy/i.test(said))
    return say('DMAS_DEPLOY_FAILED', `A policy of the cluster refuses it while ${doing}: ${said}.`, policyHelp);
  return say('DMAS_ENV_TARGET', `You may not do this in namespace ${namespace} while ${doing}: ${said}.`, rightsHelp);
}

export const quotaHelp = 'Lower replicas or resources in the scenario, or have the quota raised.';
export const policyHelp = 'Use an image and options the policy allows: target.image, target.labels, target.annotations.';

const conflictText = (error: ApiError): string =>
  error.causes.length === 0
    ? oneLine(error.message)
    : error.causes.map(({ field, message }) => `${field ?? 'a field'} (${oneLine(message ?? 'in conflict')})`).join(', ');

export const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim().replace(/\.$/, '');

/** Runs a step against the cluster; what the server refuses becomes a DmasError that says what and what to do. */
export async function explained<T>(doing: string, cluster: Pick<Cluster, 'namespace' | 'context'>, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof DmasError || (error as Error).name === 'AbortError') throw error;
    throw new DmasError(problemOf(error, doing, cluster), { cause: error });
  }
}
