import type { TraceDigest, TracedComponent } from '../../compiler/contracts/index.ts';
import type { InferredComponent } from './infer-workflow.ts';

/** What `infer-workflow.ts` starts from. */
export interface PlacedComponents {
  readonly components: readonly InferredComponent[];
  readonly holderOf: { readonly [traced: string]: string };
}

/**
 * What can be placed, from what was seen: a tool that always runs in its callers' process is part of them, tools of one
 * process elsewhere are one tool server, and a process that we cannot take apart is one component.
 */
export function placeComponents(digest: TraceDigest): PlacedComponents {
  const byName = new Map(digest.components.map((component) => [component.name, component]));
  const holders = new Map<string, string>();
  const groups = new Map<string, { readonly kind: InferredComponent['kind']; readonly members: TracedComponent[] }>();
  const taken = new Set(digest.components.map(({ name }) => name));
  const join = (name: string, kind: InferredComponent['kind'], member: TracedComponent) => {
    const group = groups.get(name) ?? { kind, members: [] };
    groups.set(name, group);
    group.members.push(member);
    holders.set(member.name, name);
  };
  /** A name for a whole process that no component of another kind has. */
  const processName = (service: string, members: readonly TracedComponent[]) =>
    taken.has(service) && !members.some(({ name }) => name === service) ? `${service} process` : service;

  const byService = new Map<string, TracedComponent[]>();
  for (const component of digest.components) {
    const [service] = component.services;
    if (!hasProcess(component, digest) || service === undefined) continue;
    byService.set(service, [...(byService.get(service) ?? []), component]);
  }
  for (const [service, members] of byService) {
    const local = members.filter((member) => member.kind === 'tool' && members.length > 1 && isLocal(member, digest));
    const placed = members.filter((member) => !local.includes(member));
    const [first] = placed;
    if (first === undefined) {
      for (const member of members) join(processName(service, members), 'tool server', member);
    } else if (placed.every(({ kind }) => kind === 'tool')) {
      for (const member of members) join(processName(service, members), 'tool server', member);
    } else if (placed.length > 1 && !isNode(members)) {
      for (const member of members) join(processName(service, members), 'service', member);
    } else {
      const servers = placed.filter(({ kind }) => kind === 'tool');
      for (const member of placed) {
        if (member.kind === 'tool') join(servers.length > 1 ? `${service} tools` : member.name, 'tool server', member);
        else join(member.name, member.kind, member);
      }
      for (const tool of local) join(callerOf(tool, digest, holders) ?? first.name, first.kind, tool);
    }
  }
  for (const component of digest.components) if (!holders.has(component.name)) join(component.name, component.kind, component);

  const slugs = new Set<string>();
  const components = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { kind, members }]) => componentOf(name, kind, members, slugs, digest));
  return { components, holderOf: Object.fromEntries([...byName.keys()].map((name) => [name, holders.get(name) ?? name])) };
}

/** Seen from inside, in a process that somebody deployed. */
const hasProcess = (component: TracedComponent, { quality }: TraceDigest): boolean =>
  (component.kind === 'agent' || component.kind === 'tool' || component.kind === 'service') &&
  component.services.length > 0 &&
  !quality.darkComponents.includes(component.name);

/** Called from its own process only. */
const isLocal = (tool: TracedComponent, { edges }: TraceDigest): boolean =>
  edges.filter((edge) => edge.to === tool.name).every((edge) => edge.sameInstanceShare > 0.5);

const callerOf = (tool: TracedComponent, { edges }: TraceDigest, holders: ReadonlyMap<string, string>): string | undefined => {
  const callers = edges.filter((edge) => edge.to === tool.name).sort((a, b) => b.calls - a.calls || (a.from < b.from ? -1 : 1));
  return callers.map((edge) => holders.get(edge.from)).find((holder) => holder !== undefined);
};

const languagesOf = (members: readonly TracedComponent[]): string[] =>
  [...new Set(members.flatMap(({ languages = [] }) => languages))].sort();
const nodeNames: ReadonlySet<string> = new Set(['nodejs', 'node', 'javascript', 'typescript']);
const isNode = (members: readonly TracedComponent[]): boolean => {
  const languages = languagesOf(members);
  return languages.length > 0 && languages.every((language) => nodeNames.has(language));
};

function componentOf(
  name: string,
  kind: InferredComponent['kind'],
  members: readonly TracedComponent[],
  slugs: Set<string>,
  digest: TraceDigest,
): InferredComponent {
  const languages = languagesOf(members);
  const services = [...new Set(members.flatMap((member) => member.services))].sort();
  return {
    name,
    slug: slugOf(name, slugs),
    kind,
    ...mobilityOf(name, kind, members, languages, digest),
    services,
    instances: Math.max(0, ...members.map(({ instanceCount }) => instanceCount)),
    languages,
    holds: members.map((member) => member.name).sort(),
    calls: members.reduce((sum, { calls }) => sum + calls, 0),
  };
}

const why: { readonly [kind: string]: string } = {
  model: 'A model is bound by its endpoint, not placed.',
  database: 'A database keeps its place.',
  queue: 'A queue or broker keeps its place.',
  human: 'A person.',
  outside: 'Seen only from its callers: it is somebody else’s, or it sends no traces.',
};

function mobilityOf(
  name: string,
  kind: InferredComponent['kind'],
  members: readonly TracedComponent[],
  languages: readonly string[],
  digest: TraceDigest,
): Pick<InferredComponent, 'mobility' | 'reason'> {
  const given = why[kind];
  if (given !== undefined) return { mobility: 'external', reason: given };
  if (members.every((member) => digest.quality.darkComponents.includes(member.name) || member.services.length === 0))
    return {
      mobility: 'external',
      reason: `It is called, but sends no spans of its own, so nobody can tell what moving ${name} would do.`,
    };
  if (isNode(members)) return { mobility: 'movable', reason: 'It runs on Node.js, so its code can be put into any unit.' };
  const stays = 'it is started as its owner built it and may have replicas, but cannot share a process';
  return languages.length > 0
    ? { mobility: 'replicasOnly', reason: `It is written in ${languages.join(' and ')}: ${stays}.` }
    : { mobility: 'replicasOnly', reason: `The traces do not say what it is written in; unless that is JavaScript, ${stays}.` };
}

/** Lower-case letters, digits and dashes, beginning with a letter, and not used before. */
function slugOf(name: string, used: Set<string>): string {
  const plain = name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '');
  const base = plain === '' ? 'component' : plain;
  let slug = base;
  for (let n = 2; used.has(slug); n++) slug = `${base}-${n}`;
  used.add(slug);
  return slug;
}
