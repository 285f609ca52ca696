import { lookup, Resolver } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { type BindAddress, httpUrl, type PeerName, type Peers, type ReplicaAddress } from '../compiler/contracts/binding.ts';
import type { LogicalAddress } from '../compiler/contracts/plan.ts';
import { hash32 } from './agent/hashing.ts';

/** Who knows where names are. */
export interface NameService {
  /** Every address of a host, in any order. Rejects when there is no answer. */
  addresses(host: string): Promise<readonly string[]>;
  /** The name of an address; undefined when it has none or nobody says. */
  nameOf(address: string): Promise<string | undefined>;
}

export interface NameWatch {
  close(): void;
}

interface WatchOptions {
  readonly names: { readonly [address: LogicalAddress]: PeerName };
  /** Called with what changed, as by `PUT /peers`. */
  readonly give: (peers: Peers) => void;
  readonly service?: NameService;
  readonly everyMs?: number;
}

/** A replica that came is known within this time, one that went is no longer called. */
const lookupEveryMs = 1_000;
/** How long nobody is asked again for a name that could not be told. */
const forgetUnnamedMs = 10_000;
const reverseTimeoutMs = 500;

/**
 * Looks host names up again and again and gives what is found as peers, at once and whenever it changes. A lookup that
 * fails changes nothing: the last answer is the best guess there is, and whoever is gone refuses connections anyway.
 */
export function watchNames({ names, give, service = systemNames(), everyMs = lookupEveryMs }: WatchOptions): NameWatch {
  const byHost = new Map<string, [LogicalAddress, PeerName][]>();
  for (const entry of Object.entries(names)) byHost.set(entry[1].host, [...(byHost.get(entry[1].host) ?? []), entry]);
  const numbers = replicaNumbers(service);
  const timers = new Map<string, NodeJS.Timeout>();
  let closed = false;
  const follow = async (host: string, entries: readonly [LogicalAddress, PeerName][], known: string): Promise<void> => {
    const found = await service.addresses(host).then(numbers, () => undefined);
    if (closed) return;
    const seen = found === undefined || found.length === 0 ? known : JSON.stringify(found);
    if (found !== undefined && seen !== known) give(Object.fromEntries(entries.map(([address, name]) => [address, peersAt(found, name)])));
    timers.set(host, setTimeout(() => void follow(host, entries, seen), everyMs).unref());
  };
  for (const [host, entries] of byHost) void follow(host, entries, '');
  return {
    close: () => {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}

interface Found {
  readonly address: string;
  readonly replica: number;
}

const peersAt = (found: readonly Found[], { port, foreignPath }: PeerName): ReplicaAddress[] =>
  found.map(({ address, replica }) => {
    const at = { host: address, port };
    // The number is part of it, so that whoever kept the replica under another number takes it for a new one.
    const peer = { replica, instanceId: `${replica}@${address}`, at };
    if (foreignPath === undefined) return peer;
    return { ...peer, foreign: true, ...(foreignPath === '/' ? {} : { url: `${httpUrl(at)}${foreignPath}` }) };
  });

/**
 * Numbers on which all callers agree, since the choice of a replica for a session or a join rests on them, and which stay
 * when other replicas come and go: those at the end of the replicas' own names (`shop-writer-2`), where every one has
 * another; else the addresses themselves. Callers on several networks see other addresses of one container, but the same name.
 */
function replicaNumbers({ nameOf }: NameService): (addresses: readonly string[]) => Promise<readonly Found[]> {
  const known = new Map<string, { readonly number: number | undefined; readonly atMs: number }>();
  const numberOf = async (address: string): Promise<number | undefined> => {
    const before = known.get(address);
    if (before !== undefined && (before.number !== undefined || performance.now() - before.atMs < forgetUnnamedMs)) return before.number;
    const number = numberInName(await nameOf(address).catch(() => undefined));
    known.set(address, { number, atMs: performance.now() });
    return number;
  };
  return async (addresses) => {
    const usable = oneFamily(addresses);
    const named = usable.length > 1 ? await Promise.all(usable.map(numberOf)) : [];
    const told = new Set(named).size === usable.length && !named.includes(undefined);
    return usable
      .map((address, index) => ({ address, replica: (told ? named[index] : undefined) ?? numberOfAddress(address) }))
      .sort((a, b) => a.replica - b.replica);
  };
}

/** A replica may have an address of each kind; it is still one. */
function oneFamily(addresses: readonly string[]): readonly string[] {
  const four = addresses.filter((address) => isIPv4(address));
  return [...new Set(four.length > 0 ? four : addresses)].sort();
}

function numberInName(name: string | undefined): number | undefined {
  const [label = ''] = (name ?? '').split('.');
  // Cluster DNS names a pod after its address: no number of its own.
  if (/^\d+(-\d+){3}$/.test(label)) return undefined;
  const digits = /[-_](\d{1,9})$/.exec(label)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const numberOfAddress = (address: string): number =>
  isIPv4(address) ? address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) : hash32(address);

/** The names of this machine: `/etc/hosts`, search domains and DNS, as every program sees them. */
function systemNames(): NameService {
  const resolver = new Resolver({ timeout: reverseTimeoutMs, tries: 1 });
  return {
    addresses: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    nameOf: async (address) => (await resolver.reverse(address))[0],
  };
}

/** What a process without an instance id calls itself: host, a part of its own for each start, and where it is found. */
export const instanceAt = (host: string, start: string, addresses: readonly string[]): string =>
  `${host}.${start}${addresses.length > 0 ? `@${addresses.join(',')}` : ''}`;

/** Whether an instance that named itself (see `instanceAt`) is the replica found at an address. */
export function isInstanceAt(instance: string, at: BindAddress): boolean {
  if ('path' in at) return false;
  const addresses = instance.slice(instance.lastIndexOf('@') + 1).split(',');
  return instance.includes('@') && addresses.includes(at.host);
}
