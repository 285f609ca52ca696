import type Docker from 'dockerode';
import { type LeaseOwner, ownerState } from '../process/lease.ts';
import type { CleanOptions } from '../target.ts';
import { openEngine, ping } from './engine.ts';
import { labels } from './labels.ts';
import { unusedImages } from './unused-images.ts';

interface Leftover {
  readonly line: string;
  remove(): Promise<unknown>;
}

export async function dockerLeftovers({ caches = false }: CleanOptions = {}): Promise<string[]> {
  const docker = await answering();
  if (!docker) return [];
  const images = caches ? await unusedImages(docker) : [];
  return [...(await find(docker)), ...images].map(({ line }) => line);
}

export async function cleanDocker({ caches = false }: CleanOptions = {}): Promise<string[]> {
  const docker = await answering();
  if (!docker) return [];
  const removed: string[] = [];
  const removeAll = async (leftovers: readonly Leftover[]) => {
    for (const { line, remove } of leftovers) {
      await remove();
      removed.push(line);
    }
  };
  await removeAll(await find(docker));
  // Looked for afterwards: containers of dead owners hold images too.
  if (caches) await removeAll(await unusedImages(docker));
  return removed;
}

/** Containers first: a network or volume in use cannot be removed. */
async function find(docker: Docker): Promise<Leftover[]> {
  const filters = JSON.stringify({ label: [labels.owner] });
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  const { Volumes: volumes = [] } = await docker.listVolumes({ filters });
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
    ...(volumes ?? [])
      .filter((volume) => ownerIsDead(volume.Labels))
      .map((volume) => ({
        line: `volume ${volume.Name} ${ofDeployment(volume.Labels)}`,
        remove: () => docker.getVolume(volume.Name).remove({ force: true }).catch(ignoreGone),
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
