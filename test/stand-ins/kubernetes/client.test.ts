import {
  AppsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type V1Deployment,
  Watch,
} from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hasSchema, type KubernetesVersion } from './api/schema.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from './server.ts';
import { web } from './test-objects.ts';
import { until } from './until.ts';

const namespace = 'team';
const applied = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply);
const versions = (['1.32', '1.34'] as const).filter(hasSchema);

/** What a refused call says. */
async function refusal(
  call: Promise<unknown>,
): Promise<{ code: number; reason: string; message: string; details?: { causes?: { field: string }[] } }> {
  try {
    await call;
  } catch (error) {
    const { code, body } = error as { code: number; body: string };
    return { ...(JSON.parse(body) as { reason: string; message: string }), code };
  }
  throw new Error('it was not refused');
}

describe.each<KubernetesVersion>(versions)('the official client against a stand-in of Kubernetes %s', (version) => {
  let server: KubernetesStandIn;
  let config: KubeConfig;
  let core: CoreV1Api;
  let apps: AppsV1Api;

  beforeAll(async () => {
    server = await startKubernetesStandIn({ version, namespaces: [namespace], backoffMs: 50, readyMs: 10 });
    config = new KubeConfig();
    config.loadFromString(server.kubeconfig({ namespace }));
    core = config.makeApiClient(CoreV1Api);
    apps = config.makeApiClient(AppsV1Api);
  });
  afterEach(() => server.clearFaults());
  afterAll(() => server.close());

  const apply = (object: object, fieldManager = 'first', force = false) =>
    apps.patchNamespacedDeployment(
      { name: (object as V1Deployment).metadata?.name ?? '', namespace, body: object, fieldManager, force },
      applied,
    );
  const podsOf = async (name: string) => (await core.listNamespacedPod({ namespace, labelSelector: `app=${name}` })).items;
  const [deployment] = web(1, 'image:1', 'web');

  it('applies with field managers: conflicts, force, and fields taken back', async () => {
    const object = deployment as object as V1Deployment & { spec: NonNullable<V1Deployment['spec']> };
    const made = await apply({ ...object, metadata: { ...object.metadata, annotations: { note: 'a' } } });
    expect(made.metadata?.managedFields?.[0]).toMatchObject({ manager: 'first', operation: 'Apply' });
    expect(made.spec?.revisionHistoryLimit).toBe(10);
    const other = { ...object, spec: { ...object.spec, replicas: 3 } };
    const refused = await refusal(apply(other, 'second'));
    expect(refused).toMatchObject({ code: 409, reason: 'Conflict' });
    expect(refused.message).toBe('Apply failed with 1 conflict: conflict with "first" using apps/v1: .spec.replicas');
    expect(refused.details?.causes).toEqual([
      { reason: 'FieldManagerConflict', message: 'conflict with "first" using apps/v1', field: '.spec.replicas' },
    ]);
    expect((await apply(other, 'second', true)).spec?.replicas).toBe(3);
    // What the first says no more, and nobody else said, is gone; what the second said stays.
    const { replicas: _replicas, ...rest } = object.spec;
    const after = await apply({ ...object, spec: rest });
    expect(after.metadata?.annotations?.note).toBeUndefined();
    expect(after.spec?.replicas).toBe(3);
  });

  it('merges lists by their keys', async () => {
    const [object] = web(1, 'image:1', 'lists');
    await apply(object as object);
    const container = { name: 'main', env: [{ name: 'MORE', value: '1' }] };
    const selector = { app: 'lists' };
    const more = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'lists' },
      spec: { selector: { matchLabels: selector }, template: { spec: { containers: [container] } } },
    };
    const merged = await apply(more, 'second');
    const names = (merged.spec?.template.spec?.containers[0]?.env ?? []).map(({ name }) => name).sort();
    expect(names).toEqual(['MODE', 'MORE']);
    const without = { ...more, spec: { ...more.spec, template: { spec: { containers: [{ name: 'main' }] } } } };
    const again = await apply(without, 'second');
    expect(again.spec?.template.spec?.containers[0]?.env).toEqual([{ name: 'MODE', value: 'plain' }]);
  });

  it('refuses unknown fields, wrong types, what is missing and what makes no sense', async () => {
    const [object] = web(1, 'image:1', 'wrong');
    const changed = (from: string, to: string) => JSON.parse(JSON.stringify(object).replace(from, to)) as object;
    const unknown = await refusal(apply(changed('"image"', '"imagee"')));
    expect(unknown.message).toContain('.spec.template.spec.containers[0].imagee: field not declared in schema');
    const api = KubernetesObjectApi.makeApiClient(config);
    const create = (body: object) => refusal(api.create(body as never));
    expect(await create(changed('"image":"image:1",', ''))).toMatchObject({ code: 422, reason: 'Invalid' });
    expect((await create(changed('"selector":{"matchLabels":{"app":"wrong"}},', ''))).message).toContain('spec.selector: Required value');
    expect((await create(changed('"containerPort":8080', '"containerPort":99999'))).message).toContain('must be between 1 and 65535');
    expect((await create(changed('"matchLabels":{"app":"wrong"}', '"matchLabels":{"app":"right"}'))).message).toContain(
      '`selector` does not match template `labels`',
    );
  });

  it('refuses writes over what has changed since it was read', async () => {
    const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'shared' }, data: { a: '1' } } });
    await core.replaceNamespacedConfigMap({ name: 'shared', namespace, body: { ...made, data: { a: '2' } } });
    const refused = await refusal(core.replaceNamespacedConfigMap({ name: 'shared', namespace, body: { ...made, data: { a: '3' } } }));
    expect(refused).toMatchObject({ code: 409, reason: 'Conflict' });
    expect((await refusal(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'shared' } } }))).reason).toBe(
      'AlreadyExists',
    );
  });

  it('tries without doing, on request', async () => {
    await core.createNamespacedConfigMap({ namespace, dryRun: 'All', body: { metadata: { name: 'dry' } } });
    expect((await refusal(core.readNamespacedConfigMap({ name: 'dry', namespace }))).code).toBe(404);
  });

  it('gives long lists in pages', async () => {
    for (let index = 0; index < 5; index += 1)
      await core.createNamespacedSecret({ namespace, body: { metadata: { name: `page-${index}` } } });
    const names: (string | undefined)[] = [];
    let next: string | undefined;
    do {
      const page = await core.listNamespacedSecret({ namespace, limit: 2, ...(next === undefined ? {} : { _continue: next }) });
      expect(page.items.length).toBeLessThanOrEqual(2);
      names.push(...page.items.map((item) => item.metadata?.name));
      next = page.metadata?._continue;
    } while (next !== undefined);
    expect(names).toEqual([0, 1, 2, 3, 4].map((index) => `page-${index}`));
  });

  it('tells watchers of changes, and of what they can no longer be told', async () => {
    const seen: string[] = [];
    const errors: unknown[] = [];
    const start = (await core.listNamespacedConfigMap({ namespace })).metadata?.resourceVersion ?? '';
    const watcher = new Watch(config);
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    let ended = false;
    const watching = await watcher.watch(
      path,
      { resourceVersion: start, labelSelector: 'seen=yes' },
      (type, object: { metadata: { name: string } }) => seen.push(`${type} ${object.metadata.name}`),
      () => {
        ended = true;
      },
    );
    const body = { metadata: { name: 'watched', labels: { seen: 'yes' } } };
    await core.createNamespacedConfigMap({ namespace, body });
    await core.replaceNamespacedConfigMap({
      name: 'watched',
      namespace,
      body: { ...body, metadata: { name: 'watched', labels: { seen: 'no' } } },
    });
    await until(async () => seen.length === 2);
    expect(seen).toEqual(['ADDED watched', 'DELETED watched']);
    server.dropWatches();
    await until(async () => ended);
    watching.abort();
    server.compact();
    await watcher.watch(
      path,
      { resourceVersion: start },
      (type, object: { code: number }) => errors.push([type, object.code]),
      () => {},
    );
    await until(async () => errors.length > 0);
    expect(errors).toEqual([['ERROR', 410]]);
  });

  it('keeps quotas', async () => {
    const body = { metadata: { name: 'small' }, spec: { hard: { secrets: '6', 'requests.cpu': '1' } } };
    await core.createNamespacedResourceQuota({ namespace, body });
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'sixth' } } });
    const refused = await refusal(core.createNamespacedSecret({ namespace, body: { metadata: { name: 'seventh' } } }));
    expect(refused).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(refused.message).toBe(
      'secrets "seventh" is forbidden: exceeded quota: small, requested: secrets=1, used: secrets=6, limited: secrets=6',
    );
    const pod = { metadata: { name: 'poor' }, spec: { containers: [{ name: 'main', image: 'image:1' }] } };
    expect((await refusal(core.createNamespacedPod({ namespace, body: pod }))).message).toContain(
      'failed quota: small: must specify requests.cpu for: main',
    );
    await core.deleteNamespacedResourceQuota({ name: 'small', namespace });
  });

  it('fails as it is told to', async () => {
    const read = () => core.listNamespacedService({ namespace });
    server.fault({ kind: 'throttled', verb: 'list', resource: 'services', retryAfterSeconds: 7, times: 1 });
    expect(await refusal(read())).toMatchObject({ code: 429, reason: 'TooManyRequests', details: { retryAfterSeconds: 7 } });
    await read();
    server.fault({ kind: 'forbidden', resource: 'services', times: 1 });
    expect((await refusal(read())).code).toBe(403);
    server.fault({ kind: 'admission', verb: 'create', resource: 'configmaps', message: 'no maps today', times: 1 });
    expect((await refusal(core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'no' } } }))).message).toContain(
      'denied the request: no maps today',
    );
    server.fault({ kind: 'hang-up', resource: 'services', times: 1 });
    await expect(read()).rejects.toThrow(/socket hang up|ECONNRESET/);
    await server.restart(10);
    await read();
  });

  it.each([
    ['crash-loop', 'CrashLoopBackOff'],
    ['image-pull', 'ImagePullBackOff'],
    ['create-container', 'CreateContainerConfigError'],
  ] as const)('shows pods that do not start: %s', async (kind, reason) => {
    const stop = server.fault({ kind, selector: `app=${kind}` });
    const [object] = web(1, 'image:1', kind);
    await apply(object as object);
    await until(async () => (await podsOf(kind))[0]?.status?.containerStatuses?.[0]?.state?.waiting?.reason === reason);
    stop();
    if (kind !== 'crash-loop')
      await until(async () => (await apps.readNamespacedDeployment({ name: kind, namespace })).status?.availableReplicas === 1);
  });

  it('does not schedule what has no node, and says why', async () => {
    const body = {
      metadata: { name: 'huge' },
      spec: { containers: [{ name: 'main', image: 'image:1', resources: { requests: { cpu: '1000' } } }] },
    };
    await core.createNamespacedPod({ namespace, body });
    await until(async () => {
      const pod = await core.readNamespacedPod({ name: 'huge', namespace });
      const condition = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
      return condition?.reason === 'Unschedulable' && condition.message?.includes('1 Insufficient cpu') === true;
    });
    const events = await core.listNamespacedEvent({ namespace, fieldSelector: 'involvedObject.name=huge,reason=FailedScheduling' });
    expect(events.items).toHaveLength(1);
  });

  it('rolls out, keeps a disruption budget, and collects what nobody owns', async () => {
    const [object] = web(2, 'image:1', 'rolling');
    await apply(object as object);
    const available = async () => (await apps.readNamespacedDeployment({ name: 'rolling', namespace })).status;
    await until(async () => (await available())?.availableReplicas === 2);
    await apply(web(2, 'image:2', 'rolling')[0] as object);
    await until(async () => {
      const pods = await podsOf('rolling');
      return (
        pods.length === 2 &&
        pods.every(
          (pod) =>
            pod.spec?.containers[0]?.image === 'image:2' &&
            pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
        )
      );
    });
    await apps.deleteNamespacedDeployment({ name: 'rolling', namespace, propagationPolicy: 'Foreground' });
    await until(async () => (await podsOf('rolling')).length === 0);
    expect((await refusal(apps.readNamespacedDeployment({ name: 'rolling', namespace }))).code).toBe(404);
    expect((await apps.listNamespacedReplicaSet({ namespace, labelSelector: 'app=rolling' })).items).toHaveLength(0);
  });

  it('keeps what has a finalizer until that is gone', async () => {
    const body = { metadata: { name: 'held', finalizers: ['example.org/hold'] } };
    await core.createNamespacedConfigMap({ namespace, body });
    await core.deleteNamespacedConfigMap({ name: 'held', namespace });
    const held = await core.readNamespacedConfigMap({ name: 'held', namespace });
    expect(held.metadata?.deletionTimestamp).toBeDefined();
    await core.patchNamespacedConfigMap(
      { name: 'held', namespace, body: { metadata: { finalizers: null } } },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    );
    expect((await refusal(core.readNamespacedConfigMap({ name: 'held', namespace }))).code).toBe(404);
  });

  it('holds a token to its rights', async () => {
    const token = server.addUser('narrow', [{ apiGroups: [''], resources: ['pods'], verbs: ['list'], namespaces: [namespace] }]);
    const narrow = new KubeConfig();
    narrow.loadFromString(server.kubeconfig({ token, namespace }));
    await narrow.makeApiClient(CoreV1Api).listNamespacedPod({ namespace });
    const refused = await refusal(narrow.makeApiClient(CoreV1Api).listNamespacedSecret({ namespace }));
    expect(refused.message).toBe(
      'secrets is forbidden: User "narrow" cannot list resource "secrets" in API group "" in the namespace "team"',
    );
    const reviews = narrow.makeApiClient(AuthorizationV1Api);
    const asked = async (resource: string) =>
      (await reviews.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes: { namespace, verb: 'list', resource } } } }))
        .status?.allowed;
    expect([await asked('pods'), await asked('secrets')]).toEqual([true, false]);
  });
});
