import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Cluster, type KubernetesObject, openCluster } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { labelValue } from '../../../../runtime/targets/kubernetes/labels.ts';
import { neededRights } from '../../../../runtime/targets/kubernetes/rights.ts';
import { listObjects, ObjectView } from '../../../../runtime/targets/kubernetes/watch.ts';
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import type { DeployRequest, Target } from '../../../../runtime/targets/target.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';
import { bundlesOf, fixturePlan, fixtureRequest, fixtureService, temporaryFolder, testContext, type UnitSketch } from '../fixtures.ts';

// A deployment takes seconds where the machine is busy. One case of each kind always runs, the others where there is time.
vi.setConfig({ testTimeout: 60_000 });
const full = process.env.DMAS_OPT_FULL === '1';
const some = <T>(cases: readonly T[]): readonly T[] => (full ? cases : cases.slice(0, 1));

let server: KubernetesStandIn;
let folder: string;
let kubeconfig: string;
let cluster: Cluster;
beforeEach(async () => {
  server = await startKubernetesStandIn({ backoffMs: 50 });
  folder = temporaryFolder();
  kubeconfig = useUser();
  cluster = await openCluster({ namespace: '', context: '', kubeconfig });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function useUser(token?: string, namespace = 'default'): string {
  const file = join(folder, `${token ?? 'admin'}-${namespace}.kubeconfig`);
  writeFileSync(file, server.kubeconfig({ namespace, ...(token === undefined ? {} : { token }) }));
  return file;
}
const targetOf = async (options: object = {}): Promise<Target> =>
  (await kubernetesTarget.load()).create({ kubeconfig, drainMs: 100, startTimeoutMs: 30_000, dnsTtlMs: 0, ...options });
const sketches: readonly UnitSketch[] = [
  { id: 'a', ingress: true, calls: ['b'], secrets: ['SECRET_OF_A'] },
  { id: 'b', replicas: 2 },
];
const planOf = (units = sketches) => fixturePlan('kubernetes', units, [fixtureService('model-x')]);
const requestOf = (rest: Partial<DeployRequest> = {}, units = sketches) =>
  fixtureRequest(planOf(units), folder, { readyTimeoutMs: 30_000, ...rest });
const kinds = [
  'v1/ConfigMap',
  'v1/Secret',
  'v1/Service',
  'v1/ServiceAccount',
  'v1/Pod',
  'apps/v1/Deployment',
  'apps/v1/ReplicaSet',
  'networking.k8s.io/v1/NetworkPolicy',
];
const all = async (): Promise<KubernetesObject[]> => (await Promise.all(kinds.map((kind) => listObjects(cluster, kind, '')))).flat();
const names = async () => (await all()).map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error as Error & { code?: string },
  );

describe('a deployment on a cluster', () => {
  it('is there, ready, and gone without a trace', async () => {
    const before = await names();
    const target = await targetOf();
    const request = requestOf({ otlpEndpoints: ['http://127.0.0.1:4318'] });
    const deployment = await target.deploy(request, testContext());
    const pods = await listObjects(cluster, 'v1/Pod', `dmas-opt/deployment=${request.deploymentId}`);
    expect(pods.map(({ metadata }) => metadata.labels?.['dmas-opt/member'] ?? metadata.labels?.['dmas-opt/role']).sort()).toEqual([
      'a',
      'b',
      'b',
      'model-x',
      'traces',
    ]);
    expect(deployment.jobUrls).toEqual([expect.stringMatching(/^http:\/\/\S+-peers:7099$/)]);
    expect(deployment.ingressUrls).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)]);
    expect(await target.leftovers()).toEqual([]);
    for (const { metadata } of (await all()).filter(({ metadata: { labels = {} } }) => labels['dmas-opt/deployment'] !== undefined))
      if (metadata.managedFields?.some(({ operation }) => operation === 'Apply'))
        expect(metadata.managedFields.find(({ operation }) => operation === 'Apply')?.manager).toBe('dmas-opt');
    await Promise.all([deployment.stop(), deployment.stop()]);
    expect(await names()).toEqual(before);
  });

  it('replaces what changed, keeps the rest, and rolls back what does not start', async () => {
    const target = await targetOf();
    const deployment = await target.deploy(requestOf(), testContext());
    const podsOf = async (member: string) =>
      (await listObjects(cluster, 'v1/Pod', `dmas-opt/member=${labelValue(member)}`)).map(({ metadata }) => metadata.name);
    const [a, b, model] = [await podsOf('a'), await podsOf('b'), await podsOf('model-x')];
    const more = planOf(sketches.map((sketch) => (sketch.id === 'a' ? { ...sketch, secrets: [] } : sketch)));
    await deployment.update({ plan: more, bundles: bundlesOf(more) }, testContext());
    expect(await podsOf('b')).toEqual(b);
    expect(await podsOf('a')).not.toEqual(a);
    const merged = planOf([{ id: 'a+b', ingress: true }]);
    const present = await names();
    const bundles = bundlesOf(merged);
    const undo = server.fault({ kind: 'crash-loop', selector: `dmas-opt/member=${labelValue('a+b')}`, message: 'no flux', exitCode: 3 });
    expect(await failureOf(deployment.update({ plan: merged, bundles }, testContext()))).toMatchObject({
      code: 'DMAS_DEPLOY_FAILED',
      message: expect.stringMatching(/^unit a\+b replica 0 did not start: ended with code 3\.[\s\S]*no flux/),
    });
    await vi.waitFor(async () => expect(await names()).toEqual(present));
    expect(deployment.plan).toBe(more);
    undo();
    const phases: string[] = [];
    const seen: string[][] = [];
    // Both plans stand while the new one is watched.
    const watch = async () => {
      seen.push(await podsOf(labelValue('a+b')), await podsOf('b'));
      return null;
    };
    await deployment.update({ plan: merged, bundles }, testContext(), { entered: (phase) => void phases.push(phase), watch });
    expect(phases).toEqual(['prepare', 'shift', 'watch', 'commit']);
    expect(seen.map(({ length }) => length)).toEqual([1, 2]);
    expect(await podsOf('b')).toEqual([]);
    expect(await podsOf('model-x')).toEqual(model);
    expect(deployment.incidents()).toEqual([]);
    await deployment.stop();
  });

  it.skipIf(!full)('notes a killed replica and the one that comes for it', async () => {
    const deployment = await (await targetOf()).deploy(requestOf(), testContext());
    await deployment.kill('b', 1);
    await vi.waitFor(
      () =>
        expect(deployment.incidents().map(({ what, replica }) => [what, replica])).toEqual([
          ['killed', 1],
          ['restarted', 1],
        ]),
      10_000,
    );
    expect((await deployment.usage()).find(({ id, replica }) => id === 'b' && replica === 1)?.restarts).toBe(1);
    await deployment.stop();
  });

  it.skipIf(!full)('leaves nothing when interrupted', async () => {
    const before = await names();
    server.fault({ kind: 'never-ready' });
    const controller = new AbortController();
    const deploying = failureOf((await targetOf()).deploy(requestOf(), testContext(controller.signal)));
    await sleep(300);
    controller.abort();
    expect(await deploying).toMatchObject({ code: 'DMAS_INTERRUPTED' });
    expect(await names()).toEqual(before);
  });

  it.each(
    some([
      [
        { kind: 'crash-loop', message: 'cannot find the flux capacitor', exitCode: 3 },
        /did not start: ended with code 3\.[\s\S]*flux capacitor/,
      ],
      [{ kind: 'oom-killed' }, /was killed because it used more memory than its limit/],
      [{ kind: 'image-pull' }, /its image node:22-slim cannot be pulled/],
      [
        { kind: 'create-container', message: 'secret "x" not found' },
        /its container cannot be made \(CreateContainerConfigError\): secret "x" not found/,
      ],
      [
        { kind: 'unschedulable', message: '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.' },
        /not ready within 2000 ms: no node has a free nvidia.com\/gpu/,
      ],
      [{ kind: 'never-ready' }, /did not start: was not ready within 1500 ms/],
    ] as const),
  )('says why a pod does not start, and leaves nothing: %j', async (fault, message) => {
    const before = await names();
    server.fault({ ...fault, selector: 'dmas-opt/member=b' });
    const patience = { unschedulable: { startTimeoutMs: 2_000 } }[String(fault.kind)] ?? {};
    const request = requestOf(fault.kind === 'never-ready' || fault.kind === 'unschedulable' ? { readyTimeoutMs: 1_500 } : {});
    const failure = await failureOf((await targetOf(patience)).deploy(request, testContext()));
    expect(failure).toMatchObject({ code: 'DMAS_DEPLOY_FAILED', message: expect.stringMatching(message) });
    expect(failure?.message).toMatch(/^unit b replica 0 did not start/);
    await vi.waitFor(async () => expect(await names()).toEqual(before), 5_000);
  });

  it.each(
    some([
      [{ kind: 'throttled', verb: 'patch', retryAfterSeconds: 0, times: 5 }],
      [{ kind: 'unavailable', verb: 'get', retryAfterSeconds: 0, times: 3 }],
      [{ kind: 'hang-up', verb: 'get', times: 2 }],
    ] as const),
  )('goes on after %j', async (fault) => {
    server.fault(fault);
    const deployment = await (await targetOf()).deploy(requestOf(), testContext());
    await deployment.stop();
  });

  it.each(
    some([
      [{ kind: 'forbidden', resource: 'deployments', verb: 'patch' }, 'DMAS_ENV_TARGET', /You may not do this in namespace default/],
      [{ kind: 'quota', resource: 'configmaps', message: 'small' }, 'DMAS_DEPLOY_FAILED', /quota of namespace default has no room/],
      [
        { kind: 'admission', resource: 'deployments', verb: 'patch', message: 'no such registry' },
        'DMAS_DEPLOY_FAILED',
        /policy of the cluster refuses it[\s\S]*no such registry/,
      ],
      [{ kind: 'conflict', resource: 'services' }, 'DMAS_DEPLOY_FAILED', /Somebody else holds fields/],
    ] as const),
  )('is refused with a reason and a remedy: %j', async (fault, code, message) => {
    server.fault(fault);
    const failure = await failureOf((await targetOf()).deploy(requestOf(), testContext()));
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message), problems: [{ fix: expect.stringMatching(/\w/) }] });
    server.clearFaults();
    expect((await listObjects(cluster, 'apps/v1/Deployment', '')).length).toBe(0);
  });

  it('names the one that cannot start, not one that waits for it', async () => {
    server.fault({ kind: 'never-ready', selector: 'dmas-opt/member=a' });
    server.fault({ kind: 'unschedulable', selector: 'dmas-opt/member=b', message: '0/1 nodes are available: 1 Insufficient cpu.' });
    const failure = await failureOf(
      (await targetOf({ startTimeoutMs: 2_000 })).deploy(requestOf({ readyTimeoutMs: 1_500 }), testContext()),
    );
    expect(failure?.message).toMatch(/^unit b replica \d did not start: was not ready within 2000 ms: no node has room for it/);
  });

  it('says at once that a quota has room for some replicas only', async () => {
    await cluster.ask('POST', '/api/v1/namespaces/default/resourcequotas', {
      body: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'small' }, spec: { hard: { pods: '1' } } },
    });
    // One that may be read refuses the whole layout before that.
    server.fault({ kind: 'forbidden', resource: 'resourcequotas', verb: 'list' });
    server.fault({ kind: 'never-ready' });
    const request = requestOf({ plan: fixturePlan('kubernetes', [{ id: 'b', ingress: true, replicas: 2 }]) });
    expect(await failureOf((await targetOf()).deploy(request, testContext()))).toMatchObject({
      code: 'DMAS_DEPLOY_FAILED',
      message: expect.stringMatching(/^unit b replica \d did not start: the quota of the namespace has no room: .*exceeded quota: small/),
    });
  });

  it('never touches what somebody else manages, not even with our label', async () => {
    const request = requestOf();
    const name = `dmas-${request.deploymentId}-b`;
    const theirs = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name,
        labels: { 'app.kubernetes.io/managed-by': 'dmas-opt', 'dmas-opt/deployment': request.deploymentId },
        annotations: { 'argocd.argoproj.io/tracking-id': 'shop:/Service:default/x' },
      },
    };
    await cluster.ask('POST', '/api/v1/namespaces/default/serviceaccounts', { body: theirs });
    const before = await names();
    const versionOf = async () =>
      (await listObjects(cluster, 'v1/ServiceAccount', '')).find(({ metadata }) => metadata.name === name)?.metadata.resourceVersion;
    const version = await versionOf();
    expect(await failureOf((await targetOf()).deploy(request, testContext()))).toMatchObject({
      code: 'DMAS_DEPLOY_FAILED',
      message: expect.stringContaining('is managed by Argo CD, so it is left alone'),
    });
    expect(await names()).toEqual(before);
    expect(await versionOf()).toBe(version);
  });
});

describe('what a killed owner leaves', () => {
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), join(import.meta.dirname, 'owner.ts'), folder, kubeconfig],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    return child;
  };
  const kill = async (child: ChildProcess) => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };

  it.each(some([600, 150, 2_500]))(
    'is nothing after clean, when it was killed after %i ms',
    async (afterMs) => {
      const before = await names();
      const child = await start();
      await sleep(afterMs);
      const target = await targetOf();
      // Alive: nothing of it is anybody's business.
      expect(await target.leftovers()).toEqual([]);
      expect(await target.clean()).toEqual([]);
      await kill(child);
      const present = (await names()).filter((name) => !before.includes(name));
      expect((await target.leftovers()).length > 0).toBe(present.length > 0);
      const removed = await target.clean();
      expect(removed.length > 0).toBe(present.length > 0);
      await vi.waitFor(async () => expect(await names()).toEqual(before), 8_000);
      expect(await target.leftovers()).toEqual([]);
    },
    20_000,
  );
});

describe('rights', () => {
  const rules = neededRights.map(({ group, resource, verbs }) => ({
    apiGroups: [group],
    resources: [resource],
    verbs,
    namespaces: ['default'],
  }));

  it('are enough as documented: checked, and to deploy and remove', async () => {
    kubeconfig = useUser(server.addUser('team', rules));
    const target = await targetOf();
    expect(await target.check()).toEqual([]);
    const deployment = await target.deploy(requestOf({ otlpEndpoints: ['http://127.0.0.1:4318'] }), testContext());
    await deployment.stop();
    expect(await target.leftovers()).toEqual([]);
  });

  it('that are missing are named before anything is created', async () => {
    const less = rules.flatMap((rule) =>
      rule.resources[0] === 'secrets' ? [] : rule.resources[0] === 'pods' ? [{ ...rule, verbs: ['get', 'list'] }] : [rule],
    );
    kubeconfig = useUser(server.addUser('trainee', less));
    const before = await names();
    const [problem, ...rest] = await (await targetOf()).check();
    expect(problem).toMatchObject({
      code: 'DMAS_ENV_TARGET',
      severity: 'error',
      message: expect.stringMatching(/get, list, create, patch, delete secrets; watch, delete pods/),
      fix: expect.stringContaining('docs/kubernetes.md'),
    });
    expect(rest).toEqual([]);
    expect(await names()).toEqual(before);
  });

  it('are of no use in a namespace that is not there, or without a cluster', async () => {
    kubeconfig = useUser(undefined, 'nowhere');
    expect(await (await targetOf()).check()).toMatchObject([
      { severity: 'error', message: expect.stringContaining('no namespace nowhere') },
    ]);
    expect(await (await targetOf({ context: 'production' })).check()).toMatchObject([
      { message: expect.stringContaining('no context production; it has stand-in') },
    ]);
    expect(await (await targetOf({ kubeconfig: join(folder, 'none') })).check()).toMatchObject([{ code: 'DMAS_ENV_TARGET' }]);
  });
});

it('sees every change through a watch that is dropped, too old, or cut off by a restart of the server', async () => {
  const view = await new ObjectView(cluster, 'v1/ConfigMap', 'of=test').start();
  const make = (name: string) =>
    cluster.ask('POST', '/api/v1/namespaces/default/configmaps', {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { of: 'test' } } },
    });
  const seen = (expected: readonly string[]) =>
    vi.waitFor(() => expect(view.objects.map(({ metadata }) => metadata.name).sort()).toEqual(expected), 10_000);
  await make('a');
  await seen(['a']);
  server.dropWatches();
  await make('b');
  await seen(['a', 'b']);
  await server.restart(50);
  await make('c');
  server.compact();
  await seen(['a', 'b', 'c']);
  await cluster.ask('DELETE', '/api/v1/namespaces/default/configmaps/a');
  await seen(['b', 'c']);
  await view.close();
});
