import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail } from '../../compiler/contracts/index.ts';
import { longestSocketPath } from '../../runtime/targets/process/host.ts';
import { type LeaseOwner, ownerState, registryFolder, takeLease, thisOwner } from '../../runtime/targets/process/lease.ts';

const suffix = '.live';

/** A running deployment that takes orders, as others find it. */
export interface LiveEntry {
  readonly schemaVersion: 1;
  readonly deploymentId: string;
  readonly name: string;
  readonly scenarioFile: string;
  readonly target: string;
  readonly socket: string;
  readonly startedAtMs: number;
  readonly owner: LeaseOwner;
}

export interface Announcement {
  /** Where to listen; its folder is ours alone. */
  readonly socket: string;
  /** It listens: from now on others find it. */
  publish(): void;
  withdraw(): void;
}

/** Prepares a place for a control socket. A lease names it, so whatever is left by a crash is found like everything else. */
export function announce(facts: Omit<LiveEntry, 'schemaVersion' | 'owner' | 'socket'>, folder: string): Announcement {
  const wished = join(folder, 'control');
  const place = join(wished, 'live.sock').length <= longestSocketPath ? wished : mkdtempSync(join(tmpdir(), 'dmas-live-'));
  const file = join(registryFolder(), `${facts.deploymentId}${suffix}`);
  const lease = takeLease(facts.deploymentId, [place, file]);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  chmodSync(place, 0o700);
  const socket = join(place, 'live.sock');
  const entry: LiveEntry = { schemaVersion: 1, ...facts, socket, owner: thisOwner() };
  return {
    socket,
    publish: () => writeFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 }),
    withdraw: () => {
      for (const path of [place, file]) rmSync(path, { recursive: true, force: true });
      lease.release();
    },
  };
}

/** Those whose owner lives, oldest first. */
export function liveDeployments(): readonly LiveEntry[] {
  const folder = registryFolder();
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .flatMap((name) => readEntry(join(folder, name)))
    .filter(({ owner }) => ownerState(owner) === 'alive')
    .sort((a, b) => a.startedAtMs - b.startedAtMs);
}

/** One by the start of its id, or the only one there is, of those that fit. */
export function findLive(wanted: string | undefined, fits: (entry: LiveEntry) => boolean = () => true): LiveEntry {
  const all = liveDeployments();
  const found = all.filter((entry) => (wanted === undefined ? fits(entry) : entry.deploymentId.startsWith(wanted)));
  const [first] = found;
  const allowed = all.map(({ deploymentId, name }) => `${deploymentId} (${name})`);
  if (first === undefined)
    fail(
      'DMAS_LIVE_NOT_FOUND',
      wanted === undefined ? 'no deployment of this application is running here' : `no running deployment "${wanted}"`,
      {
        ...(allowed.length > 0 ? { allowed } : {}),
      },
    );
  if (found.length > 1) fail('DMAS_LIVE_NOT_FOUND', 'several deployments are running', { allowed, fix: 'Name one with --deployment.' });
  return first;
}

function readEntry(file: string): LiveEntry[] {
  try {
    const entry = JSON.parse(readFileSync(file, 'utf8')) as LiveEntry;
    return entry.schemaVersion === 1 ? [entry] : [];
  } catch {
    // Being written, or gone meanwhile.
    return [];
  }
}
