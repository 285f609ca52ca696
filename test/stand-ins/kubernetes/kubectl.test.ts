import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSchema, type KubernetesVersion } from './api/schema.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from './server.ts';
import type { JsonObject } from './state/json.ts';
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
    file('web.json', web(2));
  });
  afterAll(async () => {
    await server?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  /** Somebody's file with a list of objects. */
  function file(name: string, items: readonly JsonObject[]): void {
    writeFileSync(path.join(folder, name), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

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
    expect((await call('apply', '--server-side', '-f', 'web.json')).text).toContain('deployment.apps/web serverside-applied');
    expect((await call('rollout', 'status', 'deploy/web', '--timeout=20s')).text).toContain('successfully rolled out');
    expect((await call('wait', '--for=condition=Available', 'deploy/web', '--timeout=10s')).text).toContain('condition met');
    const { text } = await call('get', 'pods', '-l', 'app=web');
    expect(text.match(/1\/1 +Running/g)).toHaveLength(2);
    expect((await call('get', 'pods', '-o', 'wide')).text).toMatch(/ 127\.\d+\.\d+\.\d+ /);
    const described = await call('describe', 'deploy', 'web');
    expect(described.text).toContain('2 desired | 2 updated | 2 total | 2 available');
    expect((await call('describe', 'pod', '-l', 'app=web')).text).toContain('Successfully assigned team/web-');
    expect((await call('describe', 'service', 'web')).text).toMatch(/Endpoints: +127(\.\d+){3}:8080/);
    expect((await call('logs', 'deploy/web')).text).toContain('main started');
  });

  it('sees no difference in what is applied, and the difference of what is not', async () => {
    expect(await call('diff', '--server-side', '-f', 'web.json')).toEqual({ code: 0, text: '' });
    file('other.json', web(2, 'registry.example/web:2'));
    const { code, text } = await call('diff', '--server-side', '-f', 'other.json');
    expect(code).toBe(1);
    expect(text).toContain('+        image: registry.example/web:2');
  });

  it('tells of fields that another manager owns, and takes them over when forced', async () => {
    expect((await call('scale', 'deploy/web', '--replicas=1')).text).toContain('scaled');
    file('four.json', web(4));
    const conflicted = await call('apply', '--server-side', '-f', 'four.json', '--field-manager=third');
    expect(conflicted.code).toBe(1);
    expect(conflicted.text).toContain('.spec.replicas');
    expect(conflicted.text).toContain('Please review the fields above');
    const forced = await call('apply', '--server-side', '-f', 'four.json', '--field-manager=third', '--force-conflicts');
    expect(forced.text).toContain('serverside-applied');
  });

  it('applies on the client: changes, prunes what is no longer said, and compares', async () => {
    file('plain.json', web(1, 'registry.example/plain:1', 'plain'));
    expect((await call('apply', '-f', 'plain.json')).text).toContain('deployment.apps/plain created');
    expect((await call('apply', '-f', 'plain.json')).text).toContain('deployment.apps/plain unchanged');
    const [deployment, service] = web(1, 'registry.example/plain:2', 'plain');
    const text = JSON.stringify(deployment).replace(/"env":\[[^\]]*\],/, '');
    file('plain.json', [JSON.parse(text) as JsonObject, service as JsonObject]);
    const compared = await call('diff', '-f', 'plain.json');
    expect(compared.text).toContain('registry.example/plain:2');
    expect((await call('apply', '-f', 'plain.json')).text).toContain('deployment.apps/plain configured');
    const after = JSON.parse((await call('get', 'deploy', 'plain', '-o', 'json')).text) as JsonObject;
    expect(JSON.stringify(after)).not.toContain('"env":[{"name":"MODE"');
    expect((await call('rollout', 'history', 'deploy/plain')).text).toMatch(/\n2 /);
  });

  it('refuses what no server would take, in its words', async () => {
    const [deployment] = web(1);
    const wrong = JSON.parse(JSON.stringify(deployment).replace('"image"', '"imagee"')) as JsonObject;
    file('wrong.json', [wrong]);
    const { code, text } = await call('create', '-f', 'wrong.json');
    expect(code).toBe(1);
    expect(text).toContain('unknown field "spec.template.spec.containers[0].imagee"');
    file('typed.json', [JSON.parse(JSON.stringify(deployment).replace('"replicas":1', '"replicas":"one"')) as JsonObject]);
    expect((await call('create', '-f', 'typed.json', '--dry-run=server')).text).toContain(
      'cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    );
    file('missing.json', [
      JSON.parse(JSON.stringify(deployment).replace('"image":"registry.example/web:1",', '').replace('"web"', '"fresh"')) as JsonObject,
    ]);
    expect((await call('create', '-f', 'missing.json')).text).toContain('spec.template.spec.containers[0].image: Required value');
  });

  it('says what a token may do', async () => {
    const token = server.addUser('reader', [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'], namespaces: ['team'] }]);
    const as = async (...words: string[]) => call(...words, `--token=${token}`);
    expect((await as('auth', 'can-i', 'list', 'pods')).text.trim()).toBe('yes');
    expect((await as('auth', 'can-i', 'delete', 'deployments.apps')).text.trim()).toBe('no');
    expect((await as('auth', 'can-i', '--list')).text).toContain('pods');
    const refused = await as('delete', 'deploy', 'web');
    expect(refused.text).toContain('User "reader" cannot delete resource "deployments" in API group "apps" in the namespace "team"');
    expect((await as('get', 'pods')).code).toBe(0);
  });

  it('explains a field and lists what there is', async () => {
    expect((await call('explain', 'deployment.spec.replicas')).text).toContain('replicas <integer>');
    expect((await call('api-resources', '--api-group=apps')).text).toMatch(/deployments +deploy +apps\/v1 +true +Deployment/);
  });

  it('deletes and waits until it is gone', async () => {
    expect((await call('delete', 'deploy,service', '--all', '--timeout=20s')).code).toBe(0);
    expect((await call('wait', '--for=delete', 'pod', '-l', 'app=web', '--timeout=10s')).code).toBe(0);
    expect((await call('get', 'all')).text).toContain('No resources found');
  });
});
