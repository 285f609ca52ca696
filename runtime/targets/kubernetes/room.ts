import { DmasError, type Plan } from '../../../compiler/contracts/index.ts';
import type { AskedTotals, Room } from '../target.ts';
import { ApiError, type Cluster, type KubernetesObject } from './cluster.ts';
import { type Amounts, type Demand, demandOf, helperPods, type PodDemand } from './demand.ts';
import type { KubernetesOptions } from './options.ts';
import { amountText, quantityOf } from './quantity.ts';
import { listObjects } from './watch.ts';

/** What bounds a deployment in a namespace, as it was when it was read. */
export interface Bounds {
  readonly quotas: readonly Quota[];
  readonly ranges: readonly LimitRange[];
}

export interface Quota {
  readonly name: string;
  readonly hard: Amounts;
  readonly used: Amounts;
}

interface LimitRange {
  readonly name: string;
  readonly limits: readonly {
    readonly type: string;
    readonly max?: Amounts;
    readonly min?: Amounts;
    readonly default?: Amounts;
    readonly defaultRequest?: Amounts;
  }[];
}

/** Where they may not be read, nothing is known of them: the cluster refuses then pod by pod, and that is explained. */
export async function readBounds(cluster: Cluster): Promise<Bounds> {
  const readable = (kind: string) =>
    listObjects(cluster, kind, '').catch((error: unknown): KubernetesObject[] => {
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return [];
      throw error;
    });
  const [quotas, ranges] = await Promise.all([readable('v1/ResourceQuota'), readable('v1/LimitRange')]);
  return {
    quotas: quotas.filter(concernsUs).map(({ metadata, spec, status }) => {
      const { hard = {}, used = {} } = (status ?? {}) as Partial<Quota>;
      return { name: metadata.name, hard: { ...(spec as Partial<Quota>).hard, ...hard }, used };
    }),
    ranges: ranges.map(({ metadata, spec }) => ({
      name: metadata.name,
      limits: (spec as { readonly limits?: LimitRange['limits'] }).limits ?? [],
    })),
  };
}

/** Our pods ask for something, have no deadline of their own, no class of priority and no affinity across namespaces. */
function concernsUs({ spec }: KubernetesObject): boolean {
  const { scopes = [], scopeSelector } = spec as { readonly scopes?: readonly string[]; readonly scopeSelector?: object };
  return scopeSelector === undefined && scopes.every((scope) => scope === 'NotTerminating' || scope === 'NotBestEffort');
}

/**
 * Why a deployment does not fit, in one sentence; null when it does, as far as is known.
 * @param beside asked for by deployments that are starting and not yet counted as used
 */
export function whyNoRoom(demand: Demand, { quotas, ranges }: Bounds, beside: Totals = {}): string | null {
  for (const range of ranges) {
    const why = outOfRange(demand.pods, range);
    if (why !== null) return why;
  }
  const pods = demand.pods.map((pod) => withDefaults(pod, ranges));
  const needed = totalsOf({ ...demand, pods });
  for (const quota of quotas) {
    const why = unsaid(pods, quota) ?? exceeded(needed, quota, beside);
    if (why !== null) return why;
  }
  return null;
}

export interface Totals {
  readonly [resource: string]: number;
}

/** What a demand takes of each thing a quota may count. */
export function totalsOf({ pods, objects, storageBytes }: Demand): Totals {
  const totals: { [resource: string]: number } = {};
  const add = (name: string, amount: number) => {
    totals[name] = (totals[name] ?? 0) + amount;
  };
  for (const { count, containers } of pods) {
    add('pods', count);
    add('count/pods', count);
    for (const { requests, limits } of containers) {
      for (const [name, value] of Object.entries(effectiveRequests(requests, limits))) {
        add(`requests.${name}`, count * quantityOf(value));
        if (name === 'cpu' || name === 'memory') add(name, count * quantityOf(value));
      }
      for (const [name, value] of Object.entries(limits)) add(`limits.${name}`, count * quantityOf(value));
    }
  }
  for (const [resource, count] of Object.entries(objects)) {
    add(`count/${resource}`, count);
    if (!resource.includes('.')) add(resource, count);
  }
  for (const size of storageBytes) add('requests.storage', quantityOf(size));
  return totals;
}

/** A container that says how much it may take at most and no more is taken to ask for that. */
const effectiveRequests = (requests: Amounts, limits: Amounts): Amounts => ({ ...limits, ...requests });

function withDefaults(pod: PodDemand, ranges: readonly LimitRange[]): PodDemand {
  const given = ranges.flatMap(({ limits }) => limits.filter(({ type }) => type === 'Container'));
  const limits = Object.assign({}, ...given.map((limit) => limit.default ?? {})) as Amounts;
  const requests = Object.assign({}, ...given.map((limit) => ({ ...limit.default, ...limit.defaultRequest }))) as Amounts;
  return {
    ...pod,
    containers: pod.containers.map((own) => ({
      limits: { ...limits, ...own.limits },
      requests: { ...requests, ...effectiveRequests(own.requests, own.limits) },
    })),
  };
}

function outOfRange(pods: readonly PodDemand[], range: LimitRange): string | null {
  for (const pod of pods) {
    for (const limit of range.limits.filter(({ type }) => type === 'Container' || type === 'Pod')) {
      const { containers } = withDefaults(pod, [range]);
      const sum = (name: string, of: 'limits' | 'requests') => containers.map((each) => quantityOf(each[of][name] ?? 0));
      const asked = (name: string, of: 'limits' | 'requests') =>
        limit.type === 'Pod' ? sum(name, of).reduce((total, one) => total + one, 0) : Math.max(0, ...sum(name, of));
      const what = `a ${limit.type.toLowerCase()}`;
      for (const [name, most] of Object.entries(limit.max ?? {}))
        if (isMore(asked(name, 'limits'), quantityOf(most)))
          return `LimitRange ${range.name} allows ${what} at most ${amountText(name, quantityOf(most))} of ${name}, and ${pod.name} asks for ${amountText(name, asked(name, 'limits'))}`;
      for (const [name, least] of Object.entries(limit.min ?? {}))
        if (isMore(quantityOf(least), asked(name, 'requests')))
          return `LimitRange ${range.name} wants ${what} to ask for at least ${amountText(name, quantityOf(least))} of ${name}, and ${pod.name} asks for ${amountText(name, asked(name, 'requests'))}`;
    }
  }
  return null;
}

/** A quota on CPU or memory wants every container to say how much. */
function unsaid(pods: readonly PodDemand[], { name, hard }: Quota): string | null {
  for (const word of Object.keys(hard)) {
    const [, of = 'requests', resource = ''] = /^(?:(requests|limits)\.)?(cpu|memory)$/.exec(word) ?? [];
    if (resource === '') continue;
    const silent = pods.find(({ containers }) => containers.some((each) => each[of as 'requests' | 'limits'][resource] === undefined));
    if (silent !== undefined)
      return `quota ${name} wants ${of}.${resource} said of every pod, and ${silent.name} says none: a LimitRange of the namespace can give it one`;
  }
  return null;
}

function exceeded(needed: Totals, { name, hard, used }: Quota, beside: Totals): string | null {
  for (const [resource, most] of Object.entries(hard)) {
    const need = needed[resource] ?? 0;
    const starting = beside[resource] ?? 0;
    const taken = quantityOf(used[resource] ?? 0);
    if (need === 0 || !isMore(need + taken + starting, quantityOf(most))) continue;
    const text = (amount: number) => amountText(resource, amount);
    const also = starting > 0 ? ` and ${text(starting)} asked for by what starts beside it` : '';
    return `quota ${name} allows ${text(quantityOf(most))} of ${resource}, ${text(taken)} are used${also}, and it needs ${text(need)}`;
  }
  return null;
}

/** Sums of thousandths are not exact. */
const isMore = (a: number, b: number): boolean => a > b * (1 + 1e-9) + 1e-9;

/** What the scenario itself allows one deployment. */
function overOwnLimits({ vcpu, gpus }: AskedTotals, { cpus, gpus: { limit } }: KubernetesOptions): string | null {
  if (limit > 0 && gpus > limit) return `target.gpus.limit allows ${limit} GPUs, and it needs ${gpus}`;
  if (cpus > 0 && isMore(vcpu, cpus)) return `target.cpus allows ${cpus} CPUs, and it needs ${amountText('cpu', vcpu)}`;
  return null;
}

export function askedBy(plan: Plan): AskedTotals {
  const members = [...plan.units, ...plan.services];
  const sum = (of: (member: (typeof members)[number]) => number) =>
    members.reduce((total, member) => total + member.replicas * of(member), 0);
  return {
    pods: sum(() => 1),
    vcpu: sum(({ resources }) => resources.vcpu),
    memoryMb: sum(({ resources }) => resources.memoryMb),
    gpus: sum(({ program }) => program?.gpus ?? 0),
  };
}

/** The rest of a namespace, as it was when its quotas were read. */
export function roomWithin(bounds: Bounds, options: KubernetesOptions): Room {
  return {
    refuses: (plan) => overOwnLimits(askedBy(plan), options) ?? whyNoRoom(demandOf(plan, options), bounds),
    refusesTotals: (asked) => overOwnLimits(asked, options) ?? whyNoRoomFor(asked, bounds, options),
  };
}

/** As if one pod asked for everything: what quotas sum up, and nothing of what is said of single pods. */
function whyNoRoomFor({ pods, vcpu, memoryMb, gpus }: AskedTotals, { quotas }: Bounds, { gpus: { resource } }: KubernetesOptions) {
  const amounts = {
    ...(vcpu > 0 ? { cpu: vcpu } : {}),
    ...(memoryMb > 0 ? { memory: `${memoryMb}Mi` } : {}),
    ...(gpus > 0 ? { [resource]: gpus } : {}),
  };
  const all = { name: 'the layout', count: 1, containers: [{ requests: amounts, limits: amounts }] };
  const others = { name: 'the layout', count: Math.max(0, pods - 1), containers: [] };
  const needed = totalsOf({ pods: [all, others, ...helperPods], objects: {}, storageBytes: [] });
  for (const quota of quotas) {
    const why = exceeded(needed, quota, {});
    if (why !== null) return why;
  }
  return null;
}

/** @throws DmasError DMAS_DEPLOY_NO_ROOM */
export function refuseWithout(room: string | null, { namespace }: Pick<Cluster, 'namespace'>): void {
  if (room === null) return;
  throw new DmasError({
    code: 'DMAS_DEPLOY_NO_ROOM',
    severity: 'error',
    message: `The layout does not fit into namespace ${namespace}: ${room}.`,
    fix: 'Search fewer replicas or smaller resources, raise what bounds it, or set target.namespace to one with more room.',
  });
}
