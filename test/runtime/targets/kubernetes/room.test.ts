import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Plan } from '../../../../compiler/contracts/index.ts';
import { type Cluster, type KubernetesObject, openCluster } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { demandOf } from '../../../../runtime/targets/kubernetes/demand.ts';
import type { KubernetesOptions } from '../../../../runtime/targets/kubernetes/options.ts';
import { amountText, quantityOf } from '../../../../runtime/targets/kubernetes/quantity.ts';
import { neededRights } from '../../../../runtime/targets/kubernetes/rights.ts';
import { askedBy, type Bounds, roomWithin, totalsOf, whyNoRoom } from '../../../../runtime/targets/kubernetes/room.ts';
import { listObjects } from '../../../../runtime/targets/kubernetes/watch.ts';
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import type { Target } from '../../../../runtime/targets/target.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';
import { fixturePlan, fixtureRequest, fixtureService, temporaryFolder, testContext } from '../fixtures.ts';

vi.setConfig({ testTimeout: 60_000 });

const optionsOf = (given: object = {}) => kubernetesTarget.options.parse(given) as unknown as KubernetesOptions;
/** Three pods of half a CPU and 128 Mi each, beside the collector (0.1 and 1 Gi) and a load job (1 and 1 Gi). */
const plan = fixturePlan(
  'kubernetes',
  [
    { id: 'a', ingress: true, calls: ['b'] },
    { id: 'b', replicas: 2 },
  ],
  [],
);
const withGpus = (gpus: number, replicas = 1): Plan => ({
  ...plan,
  services: [
    {
      ...fixtureService('model-x'),
      replicas,
      resources: { vcpu: 0, memoryMb: 0 },
      program: {
        ...{
          image: 'vllm',
          folder: '.',
          environment: {},
          portVariable: 'PORT',
          path: '/',
          neighbours: {},
          models: {},
          instrumented: false,
        },
        gpus,
      },
    },
  ],
});
const quota = (hard: object, used: object = {}): Bounds => ({
  quotas: [{ name: 'team', hard: { ...hard }, used: { ...used } }],
  ranges: [],
});
const range = (limit: object): Bounds => ({ quotas: [], ranges: [{ name: 'sizes', limits: [{ type: 'Container', ...limit }] }] });
const judge = (bounds: Bounds, given: Plan = plan) => whyNoRoom(demandOf(given, optionsOf()), bounds);

describe('quantities', () => {
  it.each([
    ['500m', 0.5],
    ['2', 2],
    ['1.5Gi', 1.5 * 1024 ** 3],
    ['128Mi', 128 * 1024 ** 2],
    ['1e3', 1000],
    ['2k', 2000],
    ['many', 0],
  ])('%s', (text, value) => expect(quantityOf(text)).toBe(value));

  it('are shown as people write them', () => {
    expect([amountText('memory', 1.5 * 1024 ** 3), amountText('limits.memory', 128 * 1024 ** 2), amountText('cpu', 0.1 + 0.2)]).toEqual([
      '1.5Gi',
      '128Mi',
      '0.3',
    ]);
  });
});

describe('what a plan asks of a namespace', () => {
  it('counts pods, their requests and limits, objects, and the pods of dmas-opt itself', () => {
    const totals = totalsOf(demandOf(plan, optionsOf()));
    expect(totals).toMatchObject({ pods: 5, 'count/deployments.apps': 2, 'count/configmaps': 2, configmaps: 2 });
    expect(totals['requests.cpu']).toBeCloseTo(2.6);
    expect(totals.cpu).toBeCloseTo(2.6);
    expect(totals['limits.cpu']).toBeCloseTo(1.5);
    expect(totals['limits.memory']).toBe((3 * 128 + 2 * 1024) * 1024 ** 2);
    expect(totalsOf(demandOf(withGpus(2, 3), optionsOf()))['requests.nvidia.com/gpu']).toBe(6);
  });

  it.each([
    [quota({ 'requests.cpu': '2600m' }), null],
    [quota({ 'requests.cpu': '2500m' }), 'quota team allows 2.5 of requests.cpu, 0 are used, and it needs 2.6'],
    [quota({ cpu: '4' }, { cpu: '1500m' }), 'quota team allows 4 of cpu, 1.5 are used, and it needs 2.6'],
    [quota({ memory: '2Gi' }), 'quota team allows 2Gi of memory, 0Mi are used, and it needs 2.38Gi'],
    [quota({ pods: '6' }, { pods: '2' }), 'quota team allows 6 of pods, 2 are used, and it needs 5'],
    [quota({ 'count/deployments.apps': '1' }), 'quota team allows 1 of count/deployments.apps, 0 are used, and it needs 2'],
    // What it does not use is not its concern.
    [quota({ 'requests.nvidia.com/gpu': '0', 'requests.storage': '0' }), null],
    [
      quota({ 'limits.cpu': '100' }),
      'quota team wants limits.cpu said of every pod, and the collector of traces says none: a LimitRange of the namespace can give it one',
    ],
    [{ ...quota({ 'limits.cpu': '100' }), ranges: range({ default: { cpu: '2' } }).ranges }, null],
    [range({ max: { cpu: '400m' } }), 'LimitRange sizes allows a container at most 0.4 of cpu, and a asks for 0.5'],
    [range({ min: { memory: '256Mi' } }), 'LimitRange sizes wants a container to ask for at least 256Mi of memory, and a asks for 128Mi'],
    [range({ max: { memory: '2Gi' }, min: { cpu: '100m' } }), null],
  ])('is held against %j', (bounds, why) => expect(judge(bounds)).toBe(why));

  it('is held against GPUs left', () => {
    const bounds = quota({ 'requests.nvidia.com/gpu': '4' }, { 'requests.nvidia.com/gpu': '3' });
    expect(judge(bounds, withGpus(1))).toBeNull();
    expect(judge(bounds, withGpus(1, 2))).toBe('quota team allows 4 of requests.nvidia.com/gpu, 3 are used, and it needs 2');
  });

  it('is refused by its sum only where the whole plan is refused too', () => {
    const hards = [{ cpu: '2' }, { cpu: '3' }, { memory: '2Gi' }, { pods: '4' }, { pods: '5' }, { 'requests.nvidia.com/gpu': '1' }];
    for (const hard of hards) {
      for (const given of [plan, withGpus(1), withGpus(2)]) {
        const room = roomWithin(quota(hard), optionsOf());
        const [quick, exact] = [room.refusesTotals(askedBy(given)), room.refuses(given)];
        if (quick !== null) expect([hard, exact]).not.toEqual([hard, null]);
        // A model server that says nothing of CPU is refused by the whole plan alone.
        if (given === plan) expect([hard, quick]).toEqual([hard, exact]);
      }
    }
  });

  it('is held against what the scenario allows', () => {
    const room = roomWithin({ quotas: [], ranges: [] }, optionsOf({ cpus: 1, gpus: { limit: 1 } }));
    expect(room.refuses(plan)).toBe('target.cpus allows 1 CPUs, and it needs 1.5');
    expect(room.refuses(withGpus(2))).toBe('target.gpus.limit allows 1 GPUs, and it needs 2');
    expect(room.refusesTotals({ pods: 1, vcpu: 1, memoryMb: 1, gpus: 1 })).toBeNull();
  });
});

describe('a namespace with a quota', () => {
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
  function useUser(token?: string): string {
    const file = join(folder, `${token ?? 'admin'}.kubeconfig`);
    writeFileSync(file, server.kubeconfig(token === undefined ? {} : { token }));
    return file;
  }
  const target = async (options: object = {}): Promise<Target> =>
    (await kubernetesTarget.load()).create({ kubeconfig, drainMs: 100, startTimeoutMs: 2_000, ...options });
  const create = (plural: string, body: object) => cluster.ask('POST', `/api/v1/namespaces/default/${plural}`, { body });
  const bound = (hard: object, more: object = {}) =>
    create('resourcequotas', { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'team' }, spec: { hard, ...more } });
  const kinds = ['v1/ConfigMap', 'v1/Secret', 'v1/Service', 'v1/ServiceAccount', 'v1/Pod', 'apps/v1/Deployment'];
  const present = async (): Promise<string[]> =>
    (await Promise.all(kinds.map((kind) => listObjects(cluster, kind, ''))))
      .flat()
      .map(({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.name}`);
  const deploy = async (on: Target) => on.deploy(fixtureRequest(plan, folder, { readyTimeoutMs: 2_000 }), testContext());
  const failureOf = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error: Error & { code?: string }) => error,
    );

  it('refuses a layout before anything is created, and says so to a search', async () => {
    await bound({ 'requests.cpu': '2', pods: '20' });
    const before = await present();
    const on = await target();
    expect(await failureOf(deploy(on))).toMatchObject({
      code: 'DMAS_DEPLOY_NO_ROOM',
      message: 'The layout does not fit into namespace default: quota team allows 2 of requests.cpu, 0 are used, and it needs 2.6.',
      problems: [{ fix: expect.stringContaining('target.namespace') }],
    });
    expect(await present()).toEqual(before);
    const room = await on.room?.();
    expect(room?.refuses(plan)).toContain('quota team');
    expect(room?.refusesTotals({ pods: 1, vcpu: 0.5, memoryMb: 128, gpus: 0 })).toBeNull();
  });

  it('takes what fits, and counts what starts beside it', async () => {
    // Room for one of two, and for the job of one.
    await bound({ 'requests.cpu': '4' });
    const on = await target();
    const [first, second] = await Promise.all([deploy(on), failureOf(deploy(on))]);
    expect(second).toMatchObject({
      code: 'DMAS_DEPLOY_NO_ROOM',
      message: expect.stringMatching(/quota team allows 4 of requests.cpu, .* needs 2.6/),
    });
    // Once it is counted by the cluster it is no longer counted here.
    expect(await failureOf(deploy(on))).toMatchObject({ message: expect.stringContaining('1.5 are used, and it needs 2.6') });
    await first.stop();
    await vi.waitFor(async () => expect((await listObjects(cluster, 'v1/Pod', '')).length).toBe(0), 10_000);
    await (await deploy(on)).stop();
  });

  it('is not asked where that is not allowed, nor held against quotas that are not ours', async () => {
    await bound({ 'requests.cpu': '1' }, { scopes: ['Terminating'] });
    const rules = neededRights
      .filter(({ resource }) => resource !== 'resourcequotas' && resource !== 'limitranges')
      .map(({ group, resource, verbs }) => ({ apiGroups: [group], resources: [resource], verbs, namespaces: ['default'] }));
    expect(await (await target()).room?.().then((room) => room.refuses(plan))).toBeNull();
    kubeconfig = useUser(server.addUser('team', rules));
    const on = await target();
    const [problem, other] = await on.check();
    expect([problem?.severity, other?.severity]).toEqual(['warning', 'warning']);
    expect(await on.room?.().then((room) => room.refuses(plan))).toBeNull();
  });
});
