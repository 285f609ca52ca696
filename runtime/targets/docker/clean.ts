import type Docker from 'dockerode';
import { type LeaseOwner, ownerState } from '../process/lease.ts';
import { openEngine, ping } from './engine.ts';
import { labels } from './labels.ts';

interface Leftover {
  readonly line: string;
  remove(): Promise<unknown>;
}

export const dockerLeftovers = async (): Promise<string[]> => (await find()).map(({ line }) => line);

export async function cleanDocker(): Promise<string[]> {
  const removed: string[] = [];
  for (const { line, remove } of await find()) {
    await remove();
    removed.push(line);
  }
  return removed;
}

/** Containers first: a network in use cannot be removed. Nothing when no engine answers. */
async function find(): Promise<Leftover[]> {
  const docker = await answering();
  if (!docker) return [];
  const filters = JSON.stringify({ label: [labels.owner] });
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  return [
    ...containers
      .filter((container) => ownerIsDead(container.Labels))
      .map((container) => ({
        line: `container ${container.Names[0]?.slice(1) ?? container.Id} ${ofDeployment(container.Labels)}`,
        remove: () => docker.getContainer(container.Id).remove({ force: true, v: true }).catch(ignoreGone),
      })),
    ...networks
      .filter((network) => ownerIsDead(network.Labels))
      .map((network) => ({
        line: `network ${network.Name} ${ofDeployment(network.Labels)}`,
        remove: () => docker.getNetwork(network.Id).remove().catch(ignoreGone),
      })),
  ];
}

async function answering(): Promise<Docker | null> {
  try {
    const docker = await openEngine();
    await ping(docker);
    return docker;
  } catch {
    return null;
  }
}

type Labels = Docker.ContainerInfo['Labels'] | undefined;

const ofDeployment = (of: Labels): string => `of deployment ${of?.[labels.deployment] ?? 'unknown'}`;

function ownerIsDead(of: Labels): boolean {
  try {
    return ownerState(JSON.parse(of?.[labels.owner] ?? '') as LeaseOwner) === 'dead';
  } catch {
    // Somebody else's label.
    return false;
  }
}

/** Another cleaner may have been faster (404), or be at it (409). */
function ignoreGone(error: { readonly statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}
