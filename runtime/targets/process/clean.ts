import { existsSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { abandonedDrafts, isRunning, type LeaseRecord, leaseVariable, ownerState, readLeases } from './lease.ts';
import { processesWithEnvironment, signalGroup, signalProcess, startToken } from './procfs.ts';

const killedWithinMs = 5_000;
const pollMs = 20;

interface Leftover {
  readonly line: string;
  remove(): Promise<void>;
}

/** What dead owners left behind, a line each; nothing is touched. */
export const processLeftovers = (): string[] => deadLeases().flatMap((lease) => leftoversOf(lease).map(({ line }) => line));

/** Kills and removes it; resolves when it is gone. */
export async function cleanProcesses(): Promise<string[]> {
  const removed: string[] = [];
  for (const lease of deadLeases()) {
    for (const leftover of leftoversOf(lease)) {
      await leftover.remove();
      removed.push(leftover.line);
    }
  }
  for (const draft of abandonedDrafts()) rmSync(draft, { force: true });
  return removed;
}

const deadLeases = (): LeaseRecord[] => readLeases().filter((lease) => ownerState(lease.owner) === 'dead');

/** Processes first, then files, the lease itself last: an interrupted clean can be repeated. */
function leftoversOf(lease: LeaseRecord): Leftover[] {
  const of = `of deployment ${lease.deploymentId}`;
  const children = lease.children.filter(isRunning);
  const known = new Set(children.map(({ pid }) => pid));
  const strays = processesWithEnvironment(leaseVariable, lease.id).filter((pid) => !known.has(pid));
  const paths = lease.paths.filter((path) => existsSync(path));
  return [
    ...children.map(({ name, pid }) => ({ line: `process ${pid} (${name}) ${of}`, remove: () => killAndWait(pid, true) })),
    ...strays.map((pid) => ({ line: `process ${pid} ${of}`, remove: () => killAndWait(pid, false) })),
    ...paths.map((path) => ({ line: `${path} ${of}`, remove: async () => rmSync(path, { recursive: true, force: true }) })),
    { line: `record ${of}`, remove: async () => rmSync(lease.file, { force: true }) },
  ];
}

async function killAndWait(pid: number, group: boolean): Promise<void> {
  const token = startToken(pid);
  if (group) signalGroup(pid, 'SIGKILL');
  signalProcess(pid, 'SIGKILL');
  for (let waitedMs = 0; token !== null && startToken(pid) === token && waitedMs < killedWithinMs; waitedMs += pollMs) await sleep(pollMs);
}
