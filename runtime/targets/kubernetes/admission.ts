import type { DeployRequest, Room } from '../target.ts';
import type { Cluster } from './cluster.ts';
import { type Demand, demandOf, type PodDemand } from './demand.ts';
import { labels, labelValue, selectorOf } from './labels.ts';
import type { KubernetesOptions } from './options.ts';
import { readBounds, refuseWithout, roomWithin, type Totals, totalsOf, whyNoRoom } from './room.ts';
import { listObjects } from './watch.ts';

/** Lets deployments in one after the other, each only when there is room for all of it. */
export interface Admission {
  /**
   * Nothing has been created when it rejects.
   * @returns to be called when its pods are all counted, or it failed
   * @throws DmasError DMAS_DEPLOY_NO_ROOM
   */
  admit(request: Pick<DeployRequest, 'deploymentId' | 'plan'>): Promise<() => void>;
  /** As things are now. */
  room(): Promise<Room>;
}

export function createAdmission(cluster: Cluster, options: KubernetesOptions): Admission {
  /** Admitted, and perhaps not yet counted by the cluster: layouts of one round start together. */
  const starting = new Map<string, Demand>();
  let turn: Promise<unknown> = Promise.resolve();

  const look = async ({ deploymentId, plan }: Pick<DeployRequest, 'deploymentId' | 'plan'>) => {
    const bounds = await readBounds(cluster);
    refuseWithout(roomWithin({ quotas: [], ranges: [] }, options).refuses(plan), cluster);
    const demand = demandOf(plan, options);
    const beside = bounds.quotas.length === 0 ? {} : await uncounted(cluster, starting);
    refuseWithout(whyNoRoom(demand, bounds, beside), cluster);
    starting.set(deploymentId, demand);
    return () => void starting.delete(deploymentId);
  };
  return {
    admit: (request) => {
      const mine = turn.then(() => look(request));
      turn = mine.catch(() => {});
      return mine;
    },
    room: async () => roomWithin(await readBounds(cluster), options),
  };
}

/** What starting deployments will take beyond what their pods take already. */
async function uncounted(cluster: Cluster, starting: ReadonlyMap<string, Demand>): Promise<Totals> {
  const rests = await Promise.all(
    [...starting].map(async ([id, demand]) => {
      const pods = await listObjects(cluster, 'v1/Pod', selectorOf({ [labels.deployment]: labelValue(id) }));
      const present = totalsOf({ pods: pods.map(podDemand), objects: {}, storageBytes: [] });
      const asked = totalsOf({ ...demand, objects: {}, storageBytes: [] });
      return Object.entries(asked).map(([name, amount]) => [name, Math.max(0, amount - (present[name] ?? 0))] as const);
    }),
  );
  const sums: { [resource: string]: number } = {};
  for (const [name, amount] of rests.flat()) sums[name] = (sums[name] ?? 0) + amount;
  return sums;
}

function podDemand({ metadata, spec }: { readonly metadata: { readonly name: string }; readonly spec?: unknown }): PodDemand {
  const { containers = [] } = (spec ?? {}) as {
    readonly containers?: readonly { readonly resources?: Partial<PodDemand['containers'][0]> }[];
  };
  return {
    name: metadata.name,
    count: 1,
    containers: containers.map(({ resources }) => ({ requests: resources?.requests ?? {}, limits: resources?.limits ?? {} })),
  };
}
