import { type Access, type Bundle, canonicalJson } from '../../../compiler/contracts/index.ts';
import { loadsWeights, type PlannedMember } from '../../../compiler/plan/members.ts';
import type { KubernetesObject } from './cluster.ts';
import { digestOf } from './labels.ts';
import { isWorkload } from './workload.ts';

/** Part of the names of Services; names of 63 characters leave no more. */
const shortLength = 6;

export const shortVersion = (version: string): string => version.slice(0, shortLength);

/** Stays while the plan around it changes, and is told what does (`settingsOf`). */
export const isGateway = ({ planned }: Pick<PlannedMember, 'planned'>): boolean => 'kind' in planned && planned.kind === 'gateway';

/**
 * What makes one unit another: its code, its plan, what it is told, how it is started, and the same of everything it reaches. A name leads
 * to one version, so whoever calls what changed is another one too: a request is served by the versions it came to, to its end, and those
 * of old and new never meet.
 *
 * More replicas make another version as well: one that is taken away would be asked to end while its callers still know it. Only where GPUs
 * are held, which are seldom there twice, are replicas added and taken in place. In another generation everybody is another one who loads
 * no weights.
 */
export function versionsOf(
  planned: readonly PlannedMember[],
  objectsFor: (id: string) => readonly KubernetesObject[],
  bundles: readonly Bundle[],
  { members }: Access,
  generation = 0,
): ReadonlyMap<string, string> {
  const own = new Map(planned.map((member) => [member.id, ownDigest(member, objectsFor(member.id), bundles, generation)]));
  const reaches = new Map(members.map(({ id, reaches: reached }) => [id, reached.map(({ to }) => to)]));
  const below = (id: string): string[] => {
    const seen = new Set<string>();
    const next = [...(reaches.get(id) ?? [])];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      if (at === id || seen.has(at)) continue;
      seen.add(at);
      next.push(...(reaches.get(at) ?? []));
    }
    return [...seen].sort().map((each) => own.get(each) ?? '');
  };
  return new Map(
    planned.map((member) => {
      const { id } = member;
      return [id, digestOf(canonicalJson({ own: own.get(id) ?? '', below: isGateway(member) ? [] : below(id) }), 10)];
    }),
  );
}

function ownDigest(member: PlannedMember, objects: readonly KubernetesObject[], bundles: readonly Bundle[], generation: number): string {
  const { id, resources, program } = member;
  const { replicas, ...planned } = member.planned;
  const told = objects.filter((object) => !isWorkload(object)).flatMap(({ data }) => data ?? []);
  if (isGateway(member)) return digestOf(canonicalJson({ id, replicas, resources, told }));
  const kind = objects.find(isWorkload)?.kind ?? '';
  const code = bundles.find((bundle) => bundle.id === id)?.sha256 ?? '';
  const counted = (program?.gpus ?? 0) > 0 ? {} : { replicas };
  const born = generation === 0 || loadsWeights(member.planned) ? {} : { generation };
  return digestOf(canonicalJson({ kind, code, planned, told, ...counted, ...born }));
}
