import { execFile, spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { fail, type Problem } from '../../../../compiler/contracts/index.ts';

export const localClusters = ['kind', 'k3d', 'minikube'] as const;
export type LocalCluster = (typeof localClusters)[number];

/** How each tool puts an archive of images into the nodes of one of its clusters, and where to get it. */
const tools: {
  readonly [tool in LocalCluster]: {
    readonly load: (file: string, cluster: string) => readonly string[];
    readonly prefix: string;
    readonly home: string;
  };
} = {
  kind: { load: (file, cluster) => ['load', 'image-archive', file, '--name', cluster], prefix: 'kind-', home: 'https://kind.sigs.k8s.io' },
  k3d: { load: (file, cluster) => ['image', 'import', file, '--cluster', cluster], prefix: 'k3d-', home: 'https://k3d.io' },
  minikube: { load: (file, profile) => ['image', 'load', file, '--profile', profile], prefix: '', home: 'https://minikube.sigs.k8s.io' },
};

/** Each tool names the context of a cluster after the cluster. */
export const clusterOf = (tool: LocalCluster, context: string, given: string): string => {
  const { prefix } = tools[tool];
  return given !== '' ? given : context.startsWith(prefix) ? context.slice(prefix.length) : context;
};

export function missingTool(tool: LocalCluster): Problem | undefined {
  const { error } = spawnSync(tool, ['version'], { stdio: 'ignore' });
  if (error === undefined) return undefined;
  return {
    code: 'DMAS_ENV_TARGET',
    severity: 'error',
    message: `Images are to be loaded with ${tool}, which is not on PATH.`,
    fix: `Install it (${tools[tool].home}), or name target.registry; with neither, code comes in ConfigMaps.`,
  };
}

/** Saving and loading 100 MB into several nodes takes tens of seconds; a tool that asks somebody never ends. */
const loadMs = 600_000;

/** @throws DmasError DMAS_DEPLOY_FAILED with what the tool said */
export async function loadInto(tool: LocalCluster, cluster: string, docker: Docker, image: string): Promise<void> {
  const missing = missingTool(tool);
  if (missing !== undefined) fail(missing.code, missing.message, missing.fix === undefined ? {} : { fix: missing.fix });
  const folder = await mkdtemp(join(tmpdir(), 'dmas-image-'));
  const file = join(folder, 'image.tar');
  try {
    await pipeline(await docker.getImage(image).get(), createWriteStream(file));
    await new Promise<void>((resolve, reject) => {
      execFile(tool, [...tools[tool].load(file, cluster)], { timeout: loadMs }, (error, stdout, stderr) => {
        if (error === null) return resolve();
        reject(new Error((`${stderr}`.trim() || `${stdout}`.trim() || error.message).split('\n').at(-1) ?? error.message));
      });
    });
  } catch (cause) {
    fail('DMAS_DEPLOY_FAILED', `${tool} could not load ${image} into cluster ${cluster}: ${(cause as Error).message}`, {
      cause,
      fix: `Set target.localCluster to one that "${tool}" knows, or start it.`,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
