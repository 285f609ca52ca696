import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { EmittedFile } from '../../../../compiler/emit/emitter.ts';
import type { KubernetesObject } from '../../../../compiler/emit/kubernetes/input.ts';
import { kubernetes } from '../../../../compiler/emit/kubernetes.ts';
import { type Cluster, openCluster } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { pathOf } from '../../../../runtime/targets/kubernetes/resources.ts';
import { kubernetesTools, kubernetesVersions, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';
import type { KubernetesVersion } from '../../../stand-ins/kubernetes/api/schema.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';
import { emitInputOf, exampleNames, factsOf, layoutsOf, openExample } from './layouts.ts';

const run = promisify(execFile);
const plain = (version: string) => version.replace(/^v/, '') as KubernetesVersion;

/** All of them take a minute where the machine is busy. */
const examples = process.env.DMAS_OPT_FULL === '1' ? exampleNames : ['travel-planner', 'polyglot'];

type Exports = readonly { readonly layout: string; readonly files: readonly EmittedFile[] }[];
const known = new Map<string, Promise<Exports>>();
/** Manifests of each layout of an example, as `dmas-opt export` writes them; the same for every version. */
function exportsOf(name: string): Promise<Exports> {
  const made = known.get(name) ?? written(name);
  known.set(name, made);
  return made;
}

async function written(name: string): Promise<Exports> {
  const project = await openExample(name);
  const { emit } = await kubernetes.load();
  const settings = kubernetes.options.parse({ host: 'app.example' }) as { readonly [option: string]: unknown };
  return (await layoutsOf(project)).map(({ name: layout, plan }) => ({
    layout,
    files: emit(emitInputOf(project, plan, factsOf(plan)), settings),
  }));
}

const manifestsIn = (files: readonly EmittedFile[]): KubernetesObject[] =>
  files
    .filter(({ path }) => path.startsWith('base/') && !path.endsWith('kustomization.yaml'))
    .flatMap(({ content }) => parseAllDocuments(content).map((document) => document.toJS() as KubernetesObject | null))
    .filter((object) => object !== null);

describe.each(kubernetesVersions.filter(versionAtHand))(
  'exported manifests on a server of Kubernetes %s that only tries them',
  (version) => {
    let server: KubernetesStandIn;
    let cluster: Cluster;
    let folder = '';
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'dmas-opt-dry-run-'));
      server = await startKubernetesStandIn({ version: plain(version), namespaces: ['team'] });
      writeFileSync(join(folder, 'config'), server.kubeconfig({ namespace: 'team' }));
      cluster = await openCluster({ namespace: '', context: '', kubeconfig: join(folder, 'config') });
    });
    afterAll(async () => {
      await server?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const tried = async (object: KubernetesObject) =>
      cluster.ask<KubernetesObject>('PATCH', await pathOf(cluster, object), {
        query: { fieldManager: 'dmas-opt', force: false, fieldValidation: 'Strict', dryRun: 'All' },
        contentType: 'application/apply-patch+yaml',
        body: object,
      });

    it.each(examples)('%s is accepted in every layout, and nothing of it stays', async (name) => {
      const layouts = await exportsOf(name);
      expect(layouts.length).toBeGreaterThan(0);
      for (const { layout, files } of layouts) {
        const objects = manifestsIn(files);
        expect(objects.some(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')).toBe(true);
        const refused = await Promise.all(
          objects.map((object) =>
            tried(object).then(
              ({ metadata }) => (metadata.name === object.metadata.name ? [] : [`${object.metadata.name} came back as ${metadata.name}`]),
              (error: Error) => [`${object.kind}/${object.metadata.name}: ${error.message}`],
            ),
          ),
        );
        expect([layout, ...refused.flat()]).toEqual([layout]);
        const [first] = objects;
        if (first !== undefined) await expect(cluster.ask('GET', await pathOf(cluster, first))).rejects.toMatchObject({ status: 404 });
      }
    });

    it('is refused where a field is wrong', async () => {
      const [{ files } = { files: [] }] = await exportsOf('travel-planner');
      const object = manifestsIn(files).find(({ kind }) => kind === 'Deployment');
      if (object === undefined) throw new Error('no Deployment');
      const wrong = { ...object, spec: { ...(object.spec as object), replica: 2 } };
      await expect(tried(wrong)).rejects.toThrow(/failed to create typed patch object.*\.spec\.replica: field not declared/);
    });

    it.skipIf(kubernetesTools === undefined)('passes kubectl, as the README says it, overlay included', async () => {
      const [{ files } = { files: [] }] = await exportsOf('travel-planner');
      for (const { path, content } of files) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }
      await cluster.ask('POST', '/api/v1/namespaces', {
        body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'travel-planner' } },
      });
      const { stdout } = await run(
        join(kubernetesTools ?? '', 'layer/kubectl/kubectl'),
        ['apply', '--server-side', '--field-manager=dmas-opt', '--dry-run=server', '-k', 'overlays/production'],
        { cwd: folder, env: { PATH: process.env.PATH ?? '', HOME: folder, KUBECONFIG: join(folder, 'config') } },
      );
      const lines = stdout.trim().split('\n');
      expect(lines.length).toBeGreaterThanOrEqual(manifestsIn(files).length);
      for (const line of lines) expect(line).toMatch(/serverside-applied \(server dry run\)$/);
    });
  },
);
