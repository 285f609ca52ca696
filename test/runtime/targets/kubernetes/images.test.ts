import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Bundle } from '../../../../compiler/contracts/index.ts';
import { programPath } from '../../../../compiler/emit/kubernetes/workloads.ts';
import { openEngine } from '../../../../runtime/targets/docker/engine.ts';
import { followed } from '../../../../runtime/targets/docker/image.ts';
import { tar, untar } from '../../../../runtime/targets/docker/tar.ts';
import { openCluster } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { credentialsFor, registryHost } from '../../../../runtime/targets/kubernetes/images/credentials.ts';
import { checkDelivery, createDelivery } from '../../../../runtime/targets/kubernetes/images/deliver.ts';
import { clusterOf, type LocalCluster, localClusters } from '../../../../runtime/targets/kubernetes/images/local-cluster.ts';
import type { KubernetesOptions } from '../../../../runtime/targets/kubernetes/options.ts';
import { listObjects } from '../../../../runtime/targets/kubernetes/watch.ts';
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import { startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';
import { noRegistry, type Registry, startRegistry } from '../../../stand-ins/registry/registry.ts';
import { fixtureBundle, fixturePlan, fixtureRequest, jobCode, testContext } from '../fixtures.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const noEngine = spawnSync('docker', ['info'], { stdio: 'ignore' }).status === 0 ? undefined : 'no Docker engine answers';
const optionsOf = (given: object) => kubernetesTarget.options.parse(given) as unknown as KubernetesOptions;
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: Error & { code?: string }) => error,
  );

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dmas-images-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** Programs found first on PATH, written in JavaScript. */
function onPath(programs: { readonly [name: string]: string }, alone = false): void {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  for (const [name, code] of Object.entries(programs)) writeFileSync(join(bin, name), `#!${process.execPath}\n${code}`, { mode: 0o755 });
  vi.stubEnv('PATH', alone ? bin : `${bin}${delimiter}${process.env.PATH}`);
}

describe('credentials of a registry', () => {
  const configured = (config: object) => writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const auth = Buffer.from('me:pass:word').toString('base64');

  it.each([
    ['registry.example/team', 'registry.example'],
    ['registry.example', 'registry.example'],
    ['localhost:5000/team', 'localhost:5000'],
    ['127.0.0.1:5000', '127.0.0.1:5000'],
    ['somebody/repository', 'docker.io'],
  ])('%s is on %s', (registry, host) => expect(registryHost(registry)).toBe(host));

  it('are those that docker login left', async () => {
    configured({
      auths: { 'registry.example': { auth }, 'https://index.docker.io/v1/': { auth }, 'token.example': { identitytoken: 't' } },
    });
    const mine = { username: 'me', password: 'pass:word' };
    expect(await credentialsFor('registry.example', folder)).toEqual({ serveraddress: 'registry.example', ...mine });
    expect(await credentialsFor('docker.io', folder)).toEqual({ serveraddress: 'docker.io', ...mine });
    expect(await credentialsFor('token.example', folder)).toEqual({ serveraddress: 'token.example', identitytoken: 't' });
    expect(await credentialsFor('other.example', folder)).toBeUndefined();
    expect(await credentialsFor('registry.example', join(folder, 'none'))).toBeUndefined();
  });

  it('are not guessed from a file that is no JSON', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'dmas-credentials-'));
    writeFileSync(join(broken, 'config.json'), '{ "auths": ');
    await expect(credentialsFor('registry.example', broken)).rejects.toMatchObject({ code: 'DMAS_DEPLOY_FAILED' });
    rmSync(broken, { recursive: true });
  });

  it('come from helpers, and from the file where a helper knows none', async () => {
    onPath({
      'docker-credential-vault': `let asked = ''; process.stdin.on('data', (piece) => (asked += piece)).on('end', () => {
        if (asked === 'helped.example') console.log(JSON.stringify({ Username: 'me', Secret: 'from the vault' }));
        else { console.log('credentials not found in native keychain'); process.exit(1); }
      });`,
    });
    configured({
      auths: { 'registry.example': { auth }, 'helped.example': {} },
      credsStore: 'vault',
      credHelpers: { 'gone.example': 'absent' },
    });
    expect(await credentialsFor('helped.example', folder)).toMatchObject({ username: 'me', password: 'from the vault' });
    expect(await credentialsFor('registry.example', folder)).toMatchObject({ password: 'pass:word' });
    expect(await credentialsFor('gone.example', folder)).toBeUndefined();
  });
});

describe('what is asked for images', () => {
  it('is nothing where code comes in ConfigMaps', async () => {
    vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
    expect(await checkDelivery(optionsOf({}))).toEqual([]);
  });

  it('is an engine, and the tool of the local cluster', async () => {
    vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
    onPath({}, true);
    expect(await checkDelivery(optionsOf({ load: 'kind' }))).toMatchObject([
      {
        code: 'DMAS_ENV_TARGET',
        message: 'Images are to be loaded with kind, which is not on PATH.',
        fix: expect.stringContaining('kind.sigs.k8s.io'),
      },
      { code: 'DMAS_ENV_TARGET', message: expect.stringContaining('Images are built by a Docker engine, and none answers') },
    ]);
  });

  it('is one way, which can work', async () => {
    const codes = async (given: object) =>
      (await checkDelivery(optionsOf(given))).flatMap(({ code, message }) => (code === 'DMAS_CFG_CONTRADICTION' ? [message] : []));
    expect(await codes({ load: 'k3d', registry: 'registry.example/team' })).toEqual(['target.registry and target.load are both set.']);
    expect(await codes({ load: 'k3d', imagePullPolicy: 'Always' })).toHaveLength(1);
    expect(() => optionsOf({ registry: 'https://registry.example' })).toThrow();
  });

  it('names the cluster after the context', () => {
    expect(clusterOf('kind', 'kind-dev', '')).toBe('dev');
    expect(clusterOf('k3d', 'k3d-dev', '')).toBe('dev');
    expect(clusterOf('minikube', 'minikube', '')).toBe('minikube');
    expect(clusterOf('kind', 'kind-dev', 'other')).toBe('other');
  });
});

describe.skipIf(noEngine !== undefined)(`images of layouts${noEngine === undefined ? '' : `: skipped, ${noEngine}`}`, () => {
  const base = `dmas-test-node:${process.pid}-images`;
  const plan = fixturePlan('kubernetes', [{ id: 'a', ingress: true }, { id: 'b' }]);
  /** Ready as soon as it listens: nobody tells it where its peers are. */
  const bundleOf = (id: string, version: number): Bundle => {
    const code = `// ${id} ${version}
      import { readFileSync } from 'node:fs';
      import { createServer } from 'node:http';
      const { control, listen } = JSON.parse(readFileSync(process.env.DMAS_BINDING, 'utf8'));
      const told = JSON.stringify({ version: ${version}, cpuSeconds: 0, peakMemoryMb: 1, throttledSeconds: 0, receivedBytes: 0, sentBytes: 0 });
      for (const { host, port } of [control, ...Object.values(listen)]) createServer((_, response) => response.end(told)).listen(port, host);
      process.on('SIGTERM', () => process.exit(0));`;
    return { ...fixtureBundle(id), code, entry: code, sha256: createHash('sha256').update(code).digest('hex'), sizeBytes: code.length };
  };
  const bundles = plan.units.map(({ id }) => bundleOf(id, 1));
  beforeAll(async () => {
    const docker = await openEngine();
    // Nothing is run from it here, so it need not have a Node.js.
    const root = tar([
      { path: 'etc', mode: 0o755 },
      { path: 'etc/passwd', content: Buffer.from('root:x:0:0::/:/none\n'), mode: 0o644 },
    ]);
    await followed(docker, await docker.importImage(Readable.from(root), { repo: 'dmas-test-node', tag: `${process.pid}-images` }));
  });
  afterAll(async () => {
    const docker = await openEngine();
    const { Id } = await docker.getImage(base).inspect();
    // What was built on it here, and nobody else's.
    for (const { Id: built, ParentId } of await docker.listImages({ filters: JSON.stringify({ since: [base] }) })) {
      const history = ParentId === '' ? [] : ((await docker.getImage(built).history()) as { Id: string }[]);
      if (history.some((layer) => layer.Id === Id)) await docker.getImage(built).remove({ force: true });
    }
    await docker.getImage(base).remove();
  });

  /** Stand-ins for the tools: they write down how they were called, and which images the archive holds. */
  const tool = (log: string) => `
    const { appendFileSync, readFileSync } = require('node:fs');
    const words = process.argv.slice(2);
    if (words[0] === 'version') process.exit(0);
    const file = words.find((word) => word.endsWith('.tar'));
    const names = /"RepoTags":\\[("[^\\]]+")\\]/.exec(readFileSync(file, 'latin1'))?.[1];
    appendFileSync(${JSON.stringify(log)}, JSON.stringify([words.map((word) => (word === file ? 'FILE' : word)), names]) + '\\n');
    if (words.includes('gone')) { console.error('starting\\nERROR: no nodes found for cluster "gone"'); process.exit(1); }
  `;
  const calls: { readonly [name in LocalCluster]: readonly string[] } = {
    kind: ['load', 'image-archive', 'FILE', '--name', 'dev'],
    k3d: ['image', 'import', 'FILE', '--cluster', 'dev'],
    minikube: ['image', 'load', 'FILE', '--profile', 'dev'],
  };

  it.each(localClusters)('are loaded into the nodes of a local cluster by %s, once', async (name) => {
    const log = join(folder, 'calls');
    onPath({ [name]: tool(log) });
    const delivery = createDelivery(optionsOf({ image: base, load: name, localCluster: name === 'kind' ? '' : 'dev' }), 'kind-dev');
    const image = await delivery.application('fixture', bundles);
    expect(image).toMatch(/^dmas-opt-app:[0-9a-f]{12}$/);
    expect(await delivery.application('fixture', bundles)).toBe(image);
    const seen = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as [string[], string]);
    expect(seen).toEqual([[calls[name], JSON.stringify(image)]]);
  });

  it('say what the tool said, and are tried again', async () => {
    onPath({ kind: tool(join(folder, 'calls')) });
    const delivery = createDelivery(optionsOf({ image: base, load: 'kind', localCluster: 'gone' }), 'kind-dev');
    for (let turn = 0; turn < 2; turn++)
      expect(await failureOf(delivery.base())).toMatchObject({
        code: 'DMAS_DEPLOY_FAILED',
        message: `kind could not load ${base} into cluster gone: ERROR: no nodes found for cluster "gone"`,
        problems: [{ fix: expect.stringContaining('target.localCluster') }],
      });
    expect(readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('need a base that can be had', async () => {
    const delivery = createDelivery(optionsOf({ image: 'dmas-test-nothing:1', registry: '127.0.0.1:1/team' }), '');
    expect(await failureOf(delivery.application('fixture', bundles))).toMatchObject({
      message: expect.stringContaining('dmas-test-nothing:1'),
      problems: [{ fix: expect.stringContaining('target.image') }],
    });
  });

  describe.skipIf(noRegistry !== undefined)(`pushed to a registry${noRegistry === undefined ? '' : `: skipped, ${noRegistry}`}`, () => {
    let registry: Registry;
    beforeAll(async () => {
      registry = await startRegistry();
    });
    afterAll(async () => {
      await registry.close();
    });
    const logIn = () => {
      const auth = Buffer.from(`${registry.user}:${registry.password}`).toString('base64');
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
      vi.stubEnv('DOCKER_CONFIG', folder);
    };

    /** Plain files of an image's last layer, by path. */
    async function lastLayer(image: string) {
      const [, repository, tag] = /^[^/]+\/(.*):([^:]+)$/.exec(image) ?? [];
      const accept = 'application/vnd.docker.distribution.manifest.v2+json';
      const manifest = (await (await registry.ask(`/v2/${repository}/manifests/${tag}`, { accept })).json()) as {
        readonly layers: readonly { readonly digest: string }[];
      };
      const blob = await registry.ask(`/v2/${repository}/blobs/${manifest.layers.at(-1)?.digest}`);
      return new Map(untar(gunzipSync(Buffer.from(await blob.arrayBuffer()))).map(({ path, content }) => [path, content?.toString()]));
    }

    it('are refused with the remedy where nobody has logged in', async () => {
      vi.stubEnv('DOCKER_CONFIG', folder);
      const delivery = createDelivery(optionsOf({ image: base, registry: `${registry.host}/team` }), '');
      expect(await failureOf(delivery.application('fixture', bundles))).toMatchObject({
        code: 'DMAS_DEPLOY_FAILED',
        message: expect.stringMatching(/dmas-opt-app:[0-9a-f]{12} could not be pushed: .*(basic auth|unauthorized|denied)/i),
        problems: [{ fix: `Log in (docker login ${registry.host}) as somebody who may push to ${registry.host}/team/dmas-opt-app.` }],
      });
    });

    it('run on the cluster with no ConfigMap of code, and the next layout’s is there before the present one is touched', async () => {
      logIn();
      // Not below /tmp, where a pod has files of its own.
      const root = mkdtempSync('/var/tmp/dmas-images-');
      const server = await startKubernetesStandIn({ run: 'process', images: { '*': root }, backoffMs: 100 });
      try {
        const kubeconfig = join(folder, 'kubeconfig');
        writeFileSync(kubeconfig, server.kubeconfig());
        const next = plan.units.map(({ id }) => bundleOf(id, 2));
        // Pods of the stand-in see a folder for every image.
        mkdirSync(join(root, 'app'));
        for (const bundle of [...bundles, ...next]) writeFileSync(join(root, programPath(bundle)), bundle.code);
        const target = (await kubernetesTarget.load()).create({ kubeconfig, image: base, registry: `${registry.host}/team`, drainMs: 100 });
        const deployment = await target.deploy(fixtureRequest(plan, folder, { bundles, readyTimeoutMs: 30_000 }), testContext());
        const cluster = await openCluster({ namespace: '', context: '', kubeconfig });
        const containers = async () =>
          (await listObjects(cluster, 'apps/v1/Deployment', '')).flatMap(
            ({ spec }) => (spec as { template: { spec: { containers: { image: string; command: string[] }[] } } }).template.spec.containers,
          );
        const [first] = await containers();
        expect(first?.image).toMatch(new RegExp(`^${registry.host}/team/dmas-opt-app:[0-9a-f]{12}$`));
        expect((await containers()).map(({ command }) => command[1]).sort()).toEqual(bundles.map(programPath).sort());
        const files = await lastLayer(first?.image ?? '');
        for (const bundle of bundles) expect(files.get(programPath(bundle).slice(1))).toBe(bundle.code);
        const maps = await listObjects(cluster, 'v1/ConfigMap', 'dmas-opt/deployment');
        expect(maps.filter(({ binaryData }) => binaryData !== undefined)).toEqual([]);
        const version = async () => ((await (await fetch(`${deployment.ingressUrls[0]}/`)).json()) as { version: number }).version;
        expect(await version()).toBe(1);

        await deployment.update({ plan, bundles: next }, testContext());
        const images = new Set((await containers()).map(({ image }) => image));
        expect([...images]).toEqual([expect.not.stringContaining(first?.image ?? '')]);
        for (const bundle of next) expect((await lastLayer([...images][0] ?? '')).get(programPath(bundle).slice(1))).toBe(bundle.code);

        expect(await version()).toBe(2);

        const job = { id: 'job-1', code: jobCode, input: {}, folder, timeoutMs: 30_000 };
        await target.runJob(job, testContext()).catch(() => {});
        const tags = (await (await registry.ask('/v2/team/dmas-opt-node/tags/list')).json()) as { readonly tags: readonly string[] };
        expect(tags.tags).toHaveLength(1);
        await deployment.stop();
      } finally {
        await server.close();
        rmSync(root, { recursive: true, force: true });
      }
    });
  });
});
