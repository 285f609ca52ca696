import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { openEngine } from '../../../runtime/targets/docker/engine.ts';
import { labels } from '../../../runtime/targets/docker/labels.ts';

/** What one process of this machine holds. */
export interface Footprint {
  /** Resident set size in MB. */
  readonly rssMb: number;
  /** Open file descriptors; null where we may not look. */
  readonly handles: number | null;
}

export interface FootprintOf {
  readonly name: string;
  readonly pid: number;
}

/** The processes of a deployment: instance ids and pids. */
export async function processesOf(target: string, deploymentId: string, folder: string): Promise<FootprintOf[]> {
  return target === 'docker' ? containersOf(deploymentId) : bindingsOf(folder);
}

async function containersOf(deploymentId: string): Promise<FootprintOf[]> {
  const docker = await openEngine();
  const containers = await docker.listContainers({ filters: JSON.stringify({ label: [`${labels.deployment}=${deploymentId}`] }) });
  return Promise.all(
    containers.map(async ({ Id, Labels }) => ({
      name: Labels[labels.replica] ?? Id,
      pid: (await docker.getContainer(Id).inspect()).State.Pid,
    })),
  );
}

/** Units of target process name their binding, which lies in the folder of the deployment, in their environment. */
async function bindingsOf(folder: string): Promise<FootprintOf[]> {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        const binding = environment.find((line) => line.startsWith(`DMAS_BINDING=${folder}`));
        const name = binding && /([^/]+)\.json$/.exec(binding)?.[1];
        return name ? [{ name, pid: Number(pid) }] : [];
      } catch {
        return [];
      }
    });
}

/** Null when the process has ended. */
export function footprintOf(pid: number | 'self'): Footprint | null {
  if (!existsSync(`/proc/${pid}`)) return null;
  try {
    const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return { rssMb: Number(rss?.[1] ?? 0) / 1024, handles: handlesOf(pid) };
  } catch {
    return null;
  }
}

function handlesOf(pid: number | 'self'): number | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return null;
  }
}
