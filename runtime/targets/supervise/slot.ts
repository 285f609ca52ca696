import { setTimeout as sleep } from 'node:timers/promises';
import { type BindAddress, httpUrl, type Peers, type ReplicaAddress } from '../../../compiler/contracts/index.ts';
import { tellControl, waitReady } from './control.ts';
import { exitText, type ReplicaUsage, type RunningReplica } from './host.ts';
import type { ReplicaLog } from './log.ts';
import type { Member } from './members.ts';
import { restartPolicy } from './restart-policy.ts';

/** How long a replica whose answer failed may take to be seen as gone. */
const exitNoticeMs = 500;
const pushAttempts = 3;
const pushPauseMs = 200;

/** The place of one replica: the same over its restarts, replaced when the plan changes. */
export class Slot {
  /** What it is in the plan that serves; a place that both plans have stays when one replaces the other. */
  member: Member;
  readonly log: ReplicaLog;
  readonly restartPolicy = restartPolicy();
  /** Aborted when the slot is given up: ends its restarts. */
  readonly gone = new AbortController();
  running: RunningReplica | null = null;
  restarts = 0;
  /** Of instances that have ended. */
  spent: ReplicaUsage = noUsage;
  /** Where users call it, kept over restarts so that they need not learn a new address. */
  publicAt: BindAddress | null = null;
  /** Once ready it is restarted when it ends; before that its end fails the deployment. */
  supervised = false;
  /** Ended on purpose by fault injection. */
  killed = false;
  #pushing: Promise<boolean> | null = null;
  #pushAgain = false;

  constructor(member: Member, log: ReplicaLog) {
    this.member = member;
    this.log = log;
  }

  async usage(): Promise<ReplicaUsage> {
    const { running, spent } = this;
    return running ? addUsage(spent, await running.usage()) : spent;
  }

  /** Gives the replica its peers and waits until it says it is ready. Rejects when it ends instead. */
  async becomeReady(peers: Peers, signal: AbortSignal): Promise<void> {
    const { running } = this;
    if (!running) throw new Error('ended before it was ready');
    const ended = new AbortController();
    const abort = () => ended.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    void running.exited.then((exit) => ended.abort(new Error(`${exitText(exit)} before it was ready`)));
    try {
      if (running.control === null) {
        await running.ready?.(ended.signal);
      } else {
        await tellControl(running.control, 'PUT', '/peers', peers, ended.signal);
        await waitReady(running.control, ended.signal);
      }
    } catch (error) {
      // A broken connection is seen before the end of the process that broke it; its end says more.
      if (!ended.signal.aborted) await endsSoon(running);
      throw ended.signal.aborted ? ended.signal.reason : error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /**
   * Sends the present peers; calls that come while one is under way are joined into one more. False when the replica
   * runs but does not take them.
   */
  pushPeers(peers: () => Peers): Promise<boolean> {
    if (this.#pushing) {
      this.#pushAgain = true;
      return this.#pushing;
    }
    const push = async () => {
      let taken = true;
      do {
        this.#pushAgain = false;
        taken = await this.#sendPeers(peers);
      } while (this.#pushAgain);
      this.#pushing = null;
      return taken;
    };
    this.#pushing = push();
    return this.#pushing;
  }

  async #sendPeers(peers: () => Peers): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const { running } = this;
      if (!running?.control) return true;
      try {
        await tellControl(running.control, 'PUT', '/peers', peers());
        return true;
      } catch {
        if ((await endsSoon(running)) || this.running !== running) return true;
        if (attempt === pushAttempts) return false;
        await sleep(pushPauseMs);
      }
    }
  }

  /** Tells the replica something; a replica that is down or goes down meanwhile need not be told. */
  async tell(method: 'PUT' | 'POST', path: string, body?: unknown): Promise<void> {
    const { running } = this;
    if (!running?.control) return;
    try {
      await tellControl(running.control, method, path, body);
    } catch (error) {
      if (!(await endsSoon(running))) throw error;
    }
  }
}

const endsSoon = (running: RunningReplica): Promise<boolean> =>
  Promise.race([running.exited.then(() => true), sleep(exitNoticeMs, false, { ref: false })]);

export const noUsage: ReplicaUsage = { cpuSeconds: 0, peakMemoryMb: 0 };
/** What one host counts and another does not stays absent until somebody counted it. */
const countedKeys = ['throttledSeconds', 'receivedBytes', 'sentBytes'] as const;
export const addUsage = (a: ReplicaUsage, b: ReplicaUsage): ReplicaUsage => ({
  cpuSeconds: a.cpuSeconds + b.cpuSeconds,
  peakMemoryMb: Math.max(a.peakMemoryMb, b.peakMemoryMb),
  ...Object.fromEntries(
    countedKeys.flatMap((key) => (a[key] === undefined && b[key] === undefined ? [] : [[key, (a[key] ?? 0) + (b[key] ?? 0)]])),
  ),
});

/** Where the running replicas of every address are, in replica order; an address whose replicas are all down has none. */
export function peersOf(slots: Iterable<Pick<Slot, 'member' | 'running'>>): Peers {
  const peers: Record<string, ReplicaAddress[]> = {};
  for (const { member, running } of slots) {
    for (const { address } of member.listens) {
      peers[address] ??= [];
      const at = running?.listen[address];
      if (running && at) peers[address].push({ replica: member.replica, instanceId: running.instanceId, at, ...foreignAt(member, at) });
    }
  }
  for (const addresses of Object.values(peers)) addresses.sort((a, b) => a.replica - b.replica);
  return peers;
}

/** What somebody else built takes calls as its own clients make them, and maybe under a path of its own. */
function foreignAt({ program }: Member, at: BindAddress): Pick<ReplicaAddress, 'foreign' | 'url'> {
  if (program === null) return {};
  const { path } = program.planned;
  return { foreign: true, ...(path === '/' ? {} : { url: `${httpUrl(at)}${path}` }) };
}
