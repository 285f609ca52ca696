import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';

/** Who holds a lock: enough to tell later whether that process still lives. */
export interface Owner {
  /** Unique per opened store. */
  readonly token: string;
  readonly pid: number;
  /** Host name and process-id namespace: process ids mean nothing outside of it. */
  readonly host: string;
  /** Start time of the process in kernel ticks, because process ids are used again. Empty where /proc is not. */
  readonly started: string;
}

export const thisOwner = (): Owner => ({
  token: randomUUID(),
  pid: process.pid,
  host: hostIdentity(),
  started: startTicks(process.pid) ?? '',
});

export function parseOwner(text: string): Owner | undefined {
  try {
    const { token, pid, host, started } = JSON.parse(text);
    if (typeof token === 'string' && typeof pid === 'number' && typeof host === 'string' && typeof started === 'string') {
      return { token, pid, host, started };
    }
  } catch {
    // Falls through: a file that is not ours has no owner.
  }
  return undefined;
}

/**
 * Whether the process that made the file at `path` is gone. On this host that is certain; a process of another host
 * cannot be asked and counts as gone when it was silent for `foreignSilenceMs`.
 */
export async function isGone(owner: Owner, path: string, foreignSilenceMs: number): Promise<boolean> {
  if (owner.host !== hostIdentity()) {
    // Locks are links to the owner's file, and linking and unlinking change its ctime: the heartbeat of that process.
    const touched = await stat(path).then(
      (found) => found.ctimeMs,
      () => Date.now(),
    );
    return Date.now() - touched > foreignSilenceMs;
  }
  if (owner.pid === process.pid) return owner.started !== (startTicks(process.pid) ?? '');
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives, under another user.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const started = startTicks(owner.pid);
  return started !== undefined && owner.started !== '' && started !== owner.started;
}

let identity: string | undefined;
function hostIdentity(): string {
  if (identity === undefined) {
    let namespace = '';
    try {
      namespace = readlinkSync('/proc/self/ns/pid');
    } catch {
      // Not Linux: the host name alone.
    }
    identity = `${hostname()} ${namespace}`;
  }
  return identity;
}

/** Field 22 of /proc/<pid>/stat (proc(5)); the command in field 2 may hold spaces and parentheses. */
function startTicks(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
