import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubernetesStandIn, startKubernetesStandIn } from './server.ts';

/** What a stand-in holds that dmas-opt made, pods that are still ending included. */
export const ours = ({ store }: KubernetesStandIn): string[] =>
  store.all().flatMap(({ kind, metadata }) => (metadata.labels?.['dmas-opt/deployment'] === undefined ? [] : [`${kind} ${metadata.name}`]));

/**
 * Does something with a cluster that `KUBECONFIG` names: the user's where there is one, else a stand-in whose pods are processes of this
 * machine.
 */
export async function aroundCluster<T>(work: () => Promise<T>): Promise<T> {
  if (process.env.KUBECONFIG !== undefined && process.env.KUBECONFIG !== '') return work();
  const folder = mkdtempSync(join(tmpdir(), 'dmas-kubeconfig-'));
  const server = await startKubernetesStandIn({ run: 'process', images: { '*': '' } });
  process.env.KUBECONFIG = join(folder, 'config');
  writeFileSync(process.env.KUBECONFIG, server.kubeconfig());
  try {
    return await work();
  } finally {
    delete process.env.KUBECONFIG;
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
