import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type Docker from 'dockerode';
import { stateInContainer } from './app-image.ts';
import { dockerName, ownerLabels } from './labels.ts';
import { untar } from './tar.ts';

/**
 * State of the units of an engine on another machine: a volume there, whose files are brought here when the deployment
 * ends, because what was recorded lies among them.
 *
 * @param image its `/state` gives the volume its mode
 */
export async function openStateVolume(docker: Docker, deploymentId: string, image: string, folder: string) {
  const name = `dmas-${dockerName(deploymentId)}-state`;
  const Labels = ownerLabels(deploymentId);
  await docker.createVolume({ Name: name, Labels });
  return {
    source: name,
    async close() {
      try {
        const reader = await docker.createContainer({
          name: `${name}-reader`,
          Image: image,
          Cmd: ['node'],
          Labels,
          HostConfig: { NetworkMode: 'none', Binds: [`${name}:${stateInContainer}:ro`] },
        });
        try {
          await keepFiles(await reader.getArchive({ path: stateInContainer }), folder);
        } finally {
          await reader.remove({ force: true, v: true });
        }
      } finally {
        await docker.getVolume(name).remove({ force: true });
      }
    },
  };
}

async function keepFiles(archive: NodeJS.ReadableStream, folder: string): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of archive) parts.push(Buffer.from(part));
  const prefix = `${basename(stateInContainer)}/`;
  for (const { path, content } of untar(Buffer.concat(parts))) {
    const inside = path.startsWith(prefix) ? path.slice(prefix.length) : '';
    // Units keep plain files and folders of their own making; nothing leaves this folder.
    if (inside === '' || inside.split('/').includes('..')) continue;
    const file = join(folder, inside);
    if (content === undefined) mkdirSync(file, { recursive: true });
    else writeFileSync(file, content, { mode: 0o600 });
  }
}
