import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fail } from '../../../compiler/contracts/index.ts';
import { pidScope, startToken } from './procfs.ts';

/** Moves the registry of leases; for tests, and for machines whose temporary folder is not kept. */
export const stateDirVariable = 'DMAS_OPT_STATE_DIR';
/** In the environment of everything a lease covers. */
export const leaseVariable = 'DMAS_LEASE';
const suffix = '.lease';
const draftSuffix = '.new';
/** A lease is written in an instant; a draft older than this has no writer, wherever that ran. */
const draftAgeMs = 60_000;

/** Names one process for ever on one machine; a pid alone may be reused. */
interface ProcessIdentity {
  readonly pid: number;
  readonly startToken: string;
}

export interface LeaseOwner extends ProcessIdentity {
  readonly host: string;
  readonly bootId: string;
  readonly pidNamespace: string;
}

/** What is known of one lease from its file. */
export interface LeaseRecord {
  readonly file: string;
  readonly id: string;
  readonly deploymentId: string;
  readonly owner: LeaseOwner;
  /** Files and folders that go with it. */
  readonly paths: readonly string[];
  readonly children: readonly LeasedChild[];
}

interface LeasedChild extends ProcessIdentity {
  readonly name: string;
}

/** Written before anything is started, so that whoever comes after a crash knows what to look for. */
export interface Lease {
  readonly id: string;
  /** Notes a child; called right after its start, before anything else can happen. */
  spawned(name: string, pid: number): void;
  /** Notes a file or folder, before it is created. */
  owns(path: string): void;
  /** Everything is gone: forgets the lease. */
  release(): void;
}

let owner: LeaseOwner | undefined;
/** This process. */
export function thisOwner(): LeaseOwner {
  owner ??= { pid: process.pid, startToken: startToken(process.pid) ?? '', host: hostname(), ...pidScope() };
  return owner;
}

/**
 * The folder of all leases of this user, created when absent. In a folder that everybody may write to, one that is
 * not ours alone could make us kill or delete what somebody else names, so it is refused.
 */
export function registryFolder(): string {
  const folder = process.env[stateDirVariable] || join(tmpdir(), `dmas-opt-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  const { uid } = userInfo();
  if (!stat.isDirectory() || (uid >= 0 && (stat.uid !== uid || (stat.mode & 0o022) !== 0)))
    fail('DMAS_ENV_TARGET', `${folder} is not a folder that only you can write to.`, {
      fix: `Remove it, or set ${stateDirVariable} to a private folder.`,
    });
  return folder;
}

export function takeLease(deploymentId: string, paths: readonly string[]): Lease {
  const id = randomBytes(8).toString('hex');
  const file = join(registryFolder(), `${id}${suffix}`);
  const header = { schemaVersion: 1, id, deploymentId, owner: thisOwner(), paths };
  // Renamed into place, so that a lease is either whole or absent; a draft may be cut off anywhere, so its name says whose it is.
  const draft = join(registryFolder(), `${id}.${draftMark(thisOwner())}${draftSuffix}`);
  writeFileSync(draft, `${JSON.stringify(header)}\n`, { mode: 0o600 });
  renameSync(draft, file);
  const append = (line: object) => appendFileSync(file, `${JSON.stringify(line)}\n`);
  return {
    id,
    spawned(name, pid) {
      const token = startToken(pid);
      // Already over: nothing to find later.
      if (token) append({ child: { name, pid, startToken: token } });
    },
    owns: (path) => append({ path }),
    release: () => rmSync(file, { force: true }),
  };
}

/** Files of leases whose writer died before they were in place; nothing was started under them. */
export function abandonedDrafts(): string[] {
  const folder = registryFolder();
  return readdirSync(folder)
    .filter((name) => name.endsWith(draftSuffix) && (writerIsDead(name) || isOld(join(folder, name))))
    .map((name) => join(folder, name));
}

const draftMark = ({ pid, startToken, ...scope }: LeaseOwner): string => `${scopeDigest(scope)}.${pid}.${startToken}`;

/** Pids mean something only within one machine, one boot of it and one container. */
const scopeDigest = ({ host, bootId, pidNamespace }: Omit<LeaseOwner, keyof ProcessIdentity>): string =>
  createHash('sha256').update(`${host}\n${bootId}\n${pidNamespace}`).digest('hex').slice(0, 16);

function writerIsDead(draft: string): boolean {
  const [, scope, pid, startToken] = draft.split('.');
  return scope === scopeDigest(thisOwner()) && !isRunning({ pid: Number(pid), startToken: String(startToken) });
}

const isOld = (file: string): boolean => Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > draftAgeMs;

/** All leases, whoever owns them. Unreadable ones are left out. */
export function readLeases(): LeaseRecord[] {
  const folder = registryFolder();
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .flatMap((name) => {
      const record = readLease(join(folder, name));
      return record ? [record] : [];
    });
}

function readLease(file: string): LeaseRecord | null {
  try {
    const [header, ...lines] = readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => parseLine(line));
    if (header?.schemaVersion !== 1 || !header.owner) return null;
    return {
      file,
      id: String(header.id),
      deploymentId: String(header.deploymentId),
      owner: header.owner,
      paths: [...(header.paths ?? []), ...lines.flatMap((line) => (line.path ? [line.path] : []))],
      children: lines.flatMap((line) => (line.child ? [line.child] : [])),
    };
  } catch {
    return null;
  }
}

interface LeaseLine {
  readonly schemaVersion?: number;
  readonly id?: string;
  readonly deploymentId?: string;
  readonly owner?: LeaseOwner;
  readonly paths?: readonly string[];
  readonly path?: string;
  readonly child?: LeasedChild;
}

/** The last line may be cut by the crash of its writer. */
function parseLine(line: string): LeaseLine[] {
  try {
    return line ? [JSON.parse(line) as LeaseLine] : [];
  } catch {
    return [];
  }
}

export const isRunning = (identity: ProcessIdentity): boolean => startToken(identity.pid) === identity.startToken;

/**
 * Whether the owner of a lease still lives. `unknown` for one of another machine or container: its pids mean nothing
 * here, so it is left alone.
 */
export function ownerState(of: LeaseOwner): 'alive' | 'dead' | 'unknown' {
  const here = thisOwner();
  if (of.host !== here.host) return 'unknown';
  if (of.bootId !== here.bootId) return 'dead';
  if (of.pidNamespace !== here.pidNamespace) return 'unknown';
  return isRunning(of) ? 'alive' : 'dead';
}
