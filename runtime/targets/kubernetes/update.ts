import { setTimeout as sleep } from 'node:timers/promises';
import type { Plan, StageContext } from '../../../compiler/contracts/index.ts';
import { drainWaves } from '../supervise/members.ts';
import { applyObject } from './apply.ts';
import { interrupted } from './bring-up.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import type { Doors } from './doors.ts';
import { asPod, type Fleet, killMarginMs } from './fleet.ts';
import type { KubernetesOptions } from './options.ts';
import type { Staged } from './stage.ts';
import { applyOwn, belongs, type StagedMember } from './staged.ts';
import { removeAndWait } from './tear-down.ts';
import type { ObjectView } from './watch.ts';

/**
 * Callers look names up every second (`runtime/names.ts`), and cluster DNS keeps an answer for up to five (CoreDNS `kubernetes`,
 * ttl): what is replaced goes when all of them have seen the new one.
 */
const settleMs = 7_000;

/** A plan as it stands on the cluster. */
export interface Standing extends Staged {
  readonly plan: Plan;
}

/** What an update needs of the deployment it changes. */
export interface UpdateParts {
  readonly cluster: Cluster;
  readonly options: KubernetesOptions;
  readonly pods: ObjectView;
  readonly fleet: Fleet;
  readonly doors: Doors;
  readonly untilReady: (members: readonly StagedMember[], signal: AbortSignal) => Promise<void>;
  /** Called at the moment from which the new plan is the one that serves. */
  readonly adopt: (next: Standing) => void;
}

/** Replaces a plan by another: new replicas beside the old, ready, then Services lead to them, then the old ones go. */
export async function updateOnKubernetes(parts: UpdateParts, old: Standing, staged: Standing, context: StageContext): Promise<void> {
  const { cluster, fleet, doors } = parts;
  const sameAs = (member: StagedMember) => old.members.find(({ id, version }) => id === member.id && version === member.version);
  const next = staged.members.map((member) => resizedAs(sameAs(member), member));
  const fresh = next.filter((member) => sameAs(member) === undefined);
  const resized = next.filter((member) => sameAs(member) !== undefined && sameAs(member)?.replicas !== member.replicas);
  const retiring = old.members.filter(({ id, version }) => !next.some((member) => member.id === id && member.version === version));
  const present = new Set(old.members.flatMap((member) => member.doors.map(({ metadata }) => metadata.name)));
  const newDoors = fresh.flatMap((member) => member.doors.filter(({ metadata }) => !present.has(metadata.name)));
  try {
    // Names that nobody calls yet lead to the new ones at once; those in use stay with the old until the switch.
    await Promise.all([...staged.common, ...newDoors].map((object) => applyObject(cluster, object, context.signal)));
    await Promise.all([...fresh, ...resized].map((member) => applyOwn(cluster, member, context.signal)));
    await parts.untilReady([...fresh, ...resized], context.signal);
  } catch (error) {
    const before = resized.flatMap((member) => sameAs(member) ?? []);
    await rollBack(parts, fresh, newDoors, before);
    throw context.signal.aborted ? interrupted(error) : error;
  }
  const oldReplicas = fleet.replicas;
  fleet.replicas = new Map(
    next.map((member) => {
      const kept = sameAs(member) === undefined ? undefined : oldReplicas.get(member.id);
      kept?.resize(member.replicas);
      return [member.id, kept ?? fleet.follow(member)];
    }),
  );
  const standing = { ...staged, members: next };
  parts.adopt(standing);
  fleet.notice();
  fleet.supervise(true);
  await Promise.all(next.flatMap((member) => member.doors).map((object) => applyObject(cluster, object, context.signal)));
  await doors.open();
  if (retiring.length > 0) await sleep(settleMs);
  for (const { id } of retiring) fleet.bury(oldReplicas.get(id));
  await retire(parts, old, standing, retiring);
  await doors.prune();
}

/** Users' entry first, then what it calls: nobody loses a callee while it still works. */
async function retire(
  { cluster, options, pods }: UpdateParts,
  old: Standing,
  standing: Staged,
  retiring: readonly StagedMember[],
): Promise<void> {
  const kept = new Set([...standing.common, ...standing.members.flatMap(({ doors, own }) => [...doors, ...own])].map(keyOf));
  const graceMs = options.drainMs + killMarginMs;
  for (const wave of wavesOf(old.plan, retiring)) {
    const leaving = retiring.filter(({ maker }) => wave.includes(maker));
    const makers = leaving.flatMap(({ own }) => own.slice(-1));
    const ending = pods.objects.filter((pod) => leaving.some((member) => belongs(pod, member)));
    await removeAndWait(cluster, pods, [...makers, ...ending.map(asPod)], undefined, graceMs);
  }
  const rest = [...retiring.flatMap(({ own, doors }) => [...own, ...doors]), ...old.common].filter((object) => !kept.has(keyOf(object)));
  await removeAndWait(cluster, pods, rest, undefined, 0);
}

async function rollBack(
  { cluster, pods }: UpdateParts,
  fresh: readonly StagedMember[],
  newDoors: readonly KubernetesObject[],
  before: readonly StagedMember[],
): Promise<void> {
  const ending = pods.objects.filter((pod) => fresh.some((member) => belongs(pod, member))).map(asPod);
  const objects = [...fresh.flatMap(({ own }) => own).reverse(), ...ending, ...newDoors];
  await removeAndWait(cluster, pods, objects, 0, killMarginMs).catch(() => {});
  for (const member of before) await applyOwn(cluster, member, new AbortController().signal).catch(() => {});
}

function wavesOf(plan: Plan, staged: readonly StagedMember[]): string[][] {
  const makerOf = new Map(staged.map(({ id, maker }) => [id, maker]));
  return drainWaves(plan).map((wave) => wave.flatMap((id) => makerOf.get(id) ?? []));
}

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata.name}`;

/** Pods that stay keep their template, or Kubernetes would replace them: only their number changes. */
function resizedAs(present: StagedMember | undefined, next: StagedMember): StagedMember {
  const maker = present?.own.at(-1);
  if (maker === undefined) return next;
  return { ...next, own: [...next.own.slice(0, -1), { ...maker, spec: { ...(maker.spec as object), replicas: next.replicas } }] };
}
