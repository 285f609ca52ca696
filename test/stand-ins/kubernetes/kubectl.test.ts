import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSchema, type KubernetesVersion } from './api/schema.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from './server.ts';
import { web } from './test-objects.ts';

const kubectl = process.env.DMAS_OPT_KUBE === undefined ? null : path.join(process.env.DMAS_OPT_KUBE, 'layer', 'kubectl', 'kubectl');
const run = promisify(execFile);

describe.skipIf(kubectl === null).each<KubernetesVersion>(['1.32', '1.34'])('kubectl against a stand-in of Kubernetes %s', (version) => {
  let server: KubernetesStandIn;
  let folder: string;

  beforeAll(async () => {
    if (!hasSchema(version)) return;
    folder = mkdtempSync(path.join(os.tmpdir(), 'kubectl-'));
    server = await startKubernetesStandIn({ version, namespaces: ['team'] });
    writeFileSync(path.join(folder, 'config'), server.kubeconfig({ namespace: 'team' }));
    writeFileSync(path.join(folder, 'web.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: web(2) }));
  });
  afterAll(async () => {
    await server?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  async function call(...words: string[]): Promise<{ code: number; text: string }> {
    const environment = { PATH: process.env.PATH ?? '', HOME: folder, KUBECONFIG: path.join(folder, 'config') };
    try {
      const { stdout, stderr } = await run(String(kubectl), words, { env: environment, cwd: folder });
      return { code: 0, text: stdout + stderr };
    } catch (error) {
      const failed = error as { code: number; stdout: string; stderr: string };
      return { code: failed.code, text: failed.stdout + failed.stderr };
    }
  }

  it('says which version it is', async () => {
    expect((await call('version')).text).toContain(`Server Version: v${version}.0`);
  });

  it('applies on the server, waits for the rollout, and lists what came of it', async () => {
    expect(await call('apply', '--server-side', '-f', 'web.json')).toMatchObject({ code: 0 });
    expect((await call('rollout', 'status', 'deploy/web', '--timeout=20s')).text).toContain('successfully rolled out');
    expect((await call('wait', '--for=condition=Available', 'deploy/web', '--timeout=10s')).text).toContain('condition met');
    const { text } = await call('get', 'pods', '-l', 'app=web');
    expect(text.match(/1\/1 +Running/g)).toHaveLength(2);
    const described = await call('describe', 'deploy', 'web');
    expect(described.text).toContain('2 desired | 2 updated | 2 total | 2 available');
    expect((await call('describe', 'pod', '-l', 'app=web')).text).toContain('Successfully assigned team/web-');
  });
});
