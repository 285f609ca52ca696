import { type Access, grantsOf, hostWord, type MemberAccess, type Plan, type TargetTraits } from '../contracts/index.ts';
import { accessOf } from './access.ts';

/** What each unit and service may do, for people: callers, callees, places outside and secrets; all else is denied. */
export function printAccess(access: Access): string {
  const grants = grantsOf(access);
  const means = new Set(access.members.flatMap(({ through }) => through ?? []));
  return [
    `rights (${grants} ${grants === 1 ? 'grant' : 'grants'}; what is not listed is denied)`,
    ...access.members.filter(({ id }) => !means.has(id)).flatMap((member) => [`  ${member.id}`, ...linesOf(member, means)]),
    '',
  ].join('\n');
}

function linesOf({ accepts, reaches, hosts, through, secrets, public: open }: MemberAccess, means: ReadonlySet<string>): string[] {
  const callers = [...(open ? ['users'] : []), ...accepts];
  const callees = [...new Set(reaches.flatMap(({ to }) => (means.has(to) ? [] : [to])))].sort();
  const places = hosts.map((host) => `${hostWord(host)} (for ${host.for.join(', ')})`);
  const lines = [
    `called by ${callers.join(', ') || 'nobody'}`,
    `calls ${callees.join(', ') || 'nobody'}`,
    `reaches outside ${places.join(', ') || 'nothing'}${through === undefined ? '' : ` through ${through}`}`,
    `holds ${secrets.join(', ') || 'no secrets'}`,
  ];
  return lines.map((line, index) => `    ${index === lines.length - 1 ? '└─' : '├─'} ${line}`);
}

/** One right of one component, because of the unit it is in. */
export interface ComponentRight {
  /** An agent or tool server; the id of a service. */
  readonly component: string;
  readonly kind: 'process' | 'call' | 'host' | 'secret';
  /** The component in the same process, what is called, the place, or the name of the secret. */
  readonly of: string;
}

export interface AccessChange {
  readonly added: readonly ComponentRight[];
  readonly removed: readonly ComponentRight[];
  readonly grants: { readonly before: number; readonly after: number };
}

/**
 * What a change of layout lets components do and no longer do. Units come and go by name, so rights are told by component:
 * whatever its unit may do it can do, and the memory of all that share the unit lies open to it.
 */
export function changesOfAccess(before: Plan, after: Plan): AccessChange {
  const [was, is] = [rightsOfComponents(before), rightsOfComponents(after)];
  const missingIn = (other: ReadonlyMap<string, ComponentRight>) => (key: string) => !other.has(key);
  const pick = (rights: ReadonlyMap<string, ComponentRight>, keep: (key: string) => boolean) =>
    [...rights]
      .filter(([key]) => keep(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, right]) => right);
  return {
    added: pick(is, missingIn(was)),
    removed: pick(was, missingIn(is)),
    grants: { before: grantsOf(accessOf(before)), after: grantsOf(accessOf(after)) },
  };
}

function rightsOfComponents(plan: Plan): ReadonlyMap<string, ComponentRight> {
  const access = accessOf(plan);
  const means = new Set(access.members.flatMap(({ through }) => through ?? []));
  const held = new Map(plan.units.map((unit) => [unit.id, [...unit.agents, ...unit.toolServers]]));
  const rights = access.members
    .filter(({ id }) => !means.has(id))
    .flatMap(({ id, reaches, hosts, secrets }): ComponentRight[] => {
      const components = held.get(id) ?? [id];
      const callees = [...new Set(reaches.flatMap(({ to }) => (means.has(to) || to === id ? [] : (held.get(to) ?? [to]))))];
      return components.flatMap((component) => [
        ...components.flatMap((other): ComponentRight[] => (other === component ? [] : [{ component, kind: 'process', of: other }])),
        ...callees.map((of): ComponentRight => ({ component, kind: 'call', of })),
        ...hosts.map((host): ComponentRight => ({ component, kind: 'host', of: hostWord(host) })),
        ...secrets.map((of): ComponentRight => ({ component, kind: 'secret', of })),
      ]);
    });
  return new Map(rights.map((right) => [`${right.component} ${right.kind} ${right.of}`, right]));
}

const words: { readonly [kind in ComponentRight['kind']]: string } = {
  process: 'shares a process with',
  call: 'can call',
  host: 'can reach',
  secret: 'can read',
};

/** The changes, one line for each component and kind of right. */
export function describeAccessChange({ added, removed, grants }: AccessChange): readonly string[] {
  const lines = (rights: readonly ComponentRight[], sign: string) => {
    const grouped = new Map<string, string[]>();
    for (const { component, kind, of } of rights) {
      const key = `${sign} ${component} ${words[kind]}`;
      grouped.set(key, [...(grouped.get(key) ?? []), of]);
    }
    return [...grouped].map(([key, what]) => `${key} ${what.join(', ')}`);
  };
  return [...lines(added, '+'), ...lines(removed, '-'), `${grants.before} -> ${grants.after} grants`];
}

/** What the target does not hold units to; null when it holds them to everything. */
export const unenforcedBy = (target: string, { egress = 'none' }: TargetTraits): string | null =>
  egress === 'proxy'
    ? null
    : `Target ${target} does not enforce this: its units are processes of one user on one machine. Each is given its own secrets alone, but could read its neighbours’; calls and places outside are open to all.`;
