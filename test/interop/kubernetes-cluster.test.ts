import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exec } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { planOf } from '../../cli/laboratory.ts';
import { layoutOf } from '../../cli/layouts.ts';
import { bundlePlan } from '../../compiler/bundle.ts';
import type { Bundle } from '../../compiler/contracts/index.ts';
import { kubernetes } from '../../compiler/emit/kubernetes.ts';
import type { Report } from '../../reports/report.ts';
import { ApiError, type KubernetesObject } from '../../runtime/targets/kubernetes/cluster.ts';
import { fieldManager, labels, labelValue, ownSelector } from '../../runtime/targets/kubernetes/labels.ts';
import type { Pod } from '../../runtime/targets/kubernetes/pods.ts';
import { objectPath, pathOf } from '../../runtime/targets/kubernetes/resources.ts';
import { listObjects } from '../../runtime/targets/kubernetes/watch.ts';
import { kubernetesTarget } from '../../runtime/targets/kubernetes.ts';
import type { Deployment, Target } from '../../runtime/targets/target.ts';
import { emitInputOf, exampleNames, factsOf, layoutsOf, openExample } from '../compiler/emit/kubernetes/layouts.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, type Sandbox } from '../faults/lib/sandbox.ts';
import { openBench } from '../placements/deploy.ts';
import {
  bundlesOf,
  fixtureBundle,
  fixturePlan,
  fixtureRequest,
  temporaryFolder,
  testContext,
  type UnitSketch,
} from '../runtime/targets/fixtures.ts';
import { noCluster, openSetting, type Setting, scenarioOn } from './kubernetes-setting.ts';

// Nodes pull images and start containers; nothing here is about how fast.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

/** Studies take minutes. */
const studied = process.env.DMAS_OPT_FULL === '1' ? ['weather-news', 'travel-planner'] : ['weather-news'];

describe.skipIf(noCluster !== undefined)(`a real cluster${noCluster === undefined ? '' : `: skipped, ${noCluster}`}`, () => {
  let setting: Setting;
  let folder: string;
  let sandbox: Sandbox;
  beforeAll(async () => {
    setting = await openSetting();
    folder = temporaryFolder();
    sandbox = createSandbox();
  });
  afterAll(async () => {
    await sandbox?.remove();
    await setting?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    // Whatever a case did, nothing of it is left for the next, and nothing at the end.
    await vi.waitFor(async () => expect(await setting.present()).toEqual([]), { timeout: 60_000, interval: 1_000 });
  });

  const targetOf = async (more: object = {}): Promise<Target> => (await kubernetesTarget.load()).create({ ...setting.options, ...more });
  const failureOf = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error: unknown) => error as Error & { code?: string },
    );
  const sketches: readonly UnitSketch[] = [
    { id: 'a', ingress: true, calls: ['b'], secrets: ['SECRET_OF_A'] },
    { id: 'b', replicas: 2 },
  ];

  it('gives all the rights that are needed, as doctor says', async () => {
    const ended = await cli(sandbox, ['doctor', scenarioOn(setting, 'weather-news', folder)]);
    expect(ended.stdout).toMatch(/^ok +target kubernetes/m);
    expect(ended.code, ended.stdout).toBe(0);
  });

  it('needs no more rights than the Role of the documentation, and names one that is missing', async ({ skip }) => {
    const rbac = 'rbac.authorization.k8s.io';
    if (!(await setting.may('create', rbac, 'roles'))) skip('you may not make roles here');
    const page = readFileSync(join(import.meta.dirname, '../../docs/kubernetes.md'), 'utf8');
    const documented = parseAllDocuments(/```yaml\n(apiVersion: rbac[\s\S]*?)```/.exec(page)?.[1] ?? '')[0]?.toJS() as {
      readonly rules: readonly { readonly resources: readonly string[] }[];
    };
    const kubeconfigs = await Promise.all(
      [documented.rules, documented.rules.filter(({ resources }) => !resources.includes('deployments'))].map((rules, index) =>
        kubeconfigWith(setting, rules, join(folder, `user-${index}.kubeconfig`)),
      ),
    );
    const [enough = '', less = ''] = kubeconfigs;
    expect(await (await targetOf({ kubeconfig: enough })).check()).toEqual([]);
    expect(await (await targetOf({ kubeconfig: less })).check()).toMatchObject([
      { severity: 'error', message: expect.stringMatching(/Missing: get, list, create, patch, delete, watch deployments\.$/) },
    ]);
    await answersAndGoes(enough);
  });

  it('runs an example that answers, and is rid of it', () => answersAndGoes(''));

  /** The smallest example, each agent in a pod of its own, asked through its entry; its spans come back. */
  async function answersAndGoes(kubeconfig: string, look?: (deployment: Deployment) => Promise<void>): Promise<void> {
    const on = { options: { ...setting.options, ...(kubeconfig === '' ? {} : { kubeconfig }) } };
    const bench = await openBench(scenarioOn(on, 'weather-news', folder), undefined, true);
    try {
      await bench.with(await layoutOf(bench.project, 'one-per-agent'), async ({ ask, spans, deployment }) => {
        expect(deployment.plan.units.length).toBeGreaterThan(1);
        expect(await ask({ id: 'one', input: { city: 'Oslo' } })).toMatchObject({ status: 200, output: expect.stringContaining('text') });
        expect((await spans()).length).toBeGreaterThan(0);
        const [first] = deployment.plan.units;
        expect(await deployment.logs(first?.id ?? '', 0)).not.toBe('');
        const usage = await deployment.usage();
        expect(usage.map(({ cpuSeconds }) => cpuSeconds > 0)).toContain(true);
        await look?.(deployment);
      });
    } finally {
      await bench.close();
    }
  }

  it('replaces a killed replica, and one layout by another', async () => {
    const bench = await openBench(scenarioOn(setting, 'weather-news', folder), undefined, true);
    const { project } = bench;
    try {
      await bench.with(await layoutOf(project, 'one-per-agent'), async ({ ask, deployment }) => {
        const answered = (id: string) =>
          vi.waitFor(async () => expect((await ask({ id, input: { city: 'Oslo' } })).status).toBe(200), { timeout: 30_000, interval: 500 });
        const callee = deployment.plan.units.find(({ ingress }) => !ingress)?.id ?? '';
        await deployment.kill(callee, 0);
        await vi.waitFor(() => expect(deployment.incidents().map(({ what }) => what)).toEqual(['killed', 'restarted']), {
          timeout: 60_000,
        });
        await answered('after the kill');
        const plan = planOf(project, await layoutOf(project, 'all-in-one'));
        await deployment.update(
          { plan, bundles: await bundlePlan({ plan, workflow: project.workflow, cassette: undefined }) },
          testContext(),
        );
        await answered('after the update');
        const members = [...plan.units, ...plan.services].map(({ id }) => labelValue(id));
        const left = [...(await podsOf(setting)).keys()].filter((member) => member !== '');
        expect(left.sort()).toEqual(members.sort());
      });
    } finally {
      await bench.close();
    }
  });

  it('gives a pod nothing but what its agents need', async ({ skip }) => {
    if (!(await setting.may('create', '', 'pods/exec'))) skip('you may not look into pods here');
    await answersAndGoes('', async ({ plan }) => {
      const callee = plan.units.find(({ ingress }) => !ingress);
      const inside = await runIn(setting, (await podsOf(setting)).get(labelValue(callee?.id ?? '')), looking);
      expect(JSON.parse(inside)).toEqual({
        user: [10_001, 10_001],
        capabilities: '0000000000000000',
        noNewPrivileges: '1',
        seccomp: '2',
        token: 'ENOENT',
        root: 'EROFS',
        services: [],
      });
    });
  });

  it.each(exampleNames)('would take the exported manifests of %s, in every layout', async (example) => {
    const { emit } = await kubernetes.load();
    const project = await openExample(example);
    for (const { plan } of await layoutsOf(project)) {
      const settings = kubernetes.options.parse({ host: 'app.example' }) as { readonly [option: string]: unknown };
      const files = await emit(emitInputOf(project, plan, factsOf(plan)), settings);
      const objects = files
        .filter(({ path }) => /^(base|secrets)\b.*\.ya?ml$/.test(path) && !path.endsWith('kustomization.yaml'))
        .flatMap(({ content }) => parseAllDocuments(content).map((document) => document.toJS() as KubernetesObject | null))
        .filter((object) => object !== null);
      expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['Deployment', 'Service', 'NetworkPolicy']));
      const refused: string[] = [];
      for (const object of objects) {
        await setting.cluster
          .ask('PATCH', await pathOf(setting.cluster, object), {
            query: { dryRun: 'All', fieldManager, fieldValidation: 'Strict' },
            contentType: 'application/apply-patch+yaml',
            body: object,
          })
          .catch((error: unknown) => {
            if (!(error instanceof ApiError)) throw error;
            refused.push(`${object.kind}/${object.metadata.name}: ${error.message}`);
          });
      }
      expect(refused).toEqual([]);
    }
  });

  const hungry: Bundle = { ...fixtureBundle('b'), code: 'const held = []; setInterval(() => held.push(Buffer.alloc(2 ** 24, 1)), 1);' };
  it.each<readonly [string, RegExp, { readonly bundle?: Bundle; readonly options?: object; readonly vcpu?: number }]>([
    ['a crash', /^unit b replica \d did not start: ended with code 3\.[\s\S]*flux capacitor/, { bundle: fixtureBundle('b', 'fails') }],
    ['too little memory', /^unit b replica \d did not start: was killed because it used more memory than its limit/, { bundle: hungry }],
    [
      'an image that nobody has',
      /^unit b replica \d did not start: its image registry\.invalid\/nothing:1 cannot be pulled/,
      { options: { images: { b: 'registry.invalid/nothing:1' } } },
    ],
    [
      'no node with room',
      /^unit b replica \d did not start: was not ready within \d+ ms: no node has room for it/,
      { vcpu: 4_000, options: { startTimeoutMs: 6_000 } },
    ],
    ['waiting for ever', /^unit b replica \d did not start: was not ready within 4000 ms/, { bundle: fixtureBundle('b', 'never-ready') }],
  ])('explains %s, and leaves nothing', async (_, message, { bundle, options = {}, vcpu }) => {
    const given = fixturePlan('kubernetes', sketches);
    const plan = {
      ...given,
      units: given.units.map((unit) =>
        unit.id === 'b' && vcpu !== undefined ? { ...unit, resources: { ...unit.resources, vcpu } } : unit,
      ),
    };
    const bundles = bundlesOf(plan).map((one) => (one.id === 'b' && bundle !== undefined ? { ...one, ...bundle, id: 'b' } : one));
    const target = await targetOf(options);
    const failure = await failureOf(target.deploy(fixtureRequest(plan, folder, { bundles, readyTimeoutMs: 4_000 }), testContext()));
    expect(failure?.message).toMatch(message);
    expect(failure).toMatchObject({ code: 'DMAS_DEPLOY_FAILED' });
  });

  it.for([
    ['a quota of pods', 'v1/ResourceQuota', { hard: { pods: '1' } }, /quota small allows 1 of pods/],
    [
      'a quota of objects',
      'v1/ResourceQuota',
      { hard: { 'count/deployments.apps': '0' } },
      /quota small allows 0 of count\/deployments\.apps/,
    ],
    ['a limit range', 'v1/LimitRange', { limits: [{ type: 'Container', max: { cpu: '100m' } }] }, /LimitRange small allows a container/],
  ] as const)('says what does not fit into %s before anything is created', async ([, kind, spec, message], { skip }) => {
    if (!(await setting.may('create', '', kind === 'v1/LimitRange' ? 'limitranges' : 'resourcequotas')))
      skip('you may not set limits here');
    await setting.create(kind, { metadata: { name: 'small' }, spec });
    try {
      // A quota is in force once its controller has counted.
      if (kind === 'v1/ResourceQuota') await sleep(2_000);
      const failure = await failureOf(
        (await targetOf()).deploy(fixtureRequest(fixturePlan('kubernetes', sketches), folder), testContext()),
      );
      expect(failure).toMatchObject({ code: 'DMAS_DEPLOY_NO_ROOM', message: expect.stringMatching(message) });
    } finally {
      await setting.remove(kind, 'small');
    }
  });

  it.each([300, 2_000, 6_000])('keeps nothing of an owner killed after %i ms, once doctor has cleaned', async (afterMs) => {
    const options = JSON.stringify(setting.options);
    const owner: ChildProcess = spawn(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), join(import.meta.dirname, 'kubernetes-owner.ts'), folder, options],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(owner.stdout as NonNullable<typeof owner.stdout>, 'data');
    await sleep(afterMs);
    const target = await targetOf();
    // Alive: nothing of it is anybody's business.
    expect(await target.clean()).toEqual([]);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const file = scenarioOn(setting, 'weather-news', folder);
    const ended = await cli(sandbox, ['doctor', file, '--clean']);
    expect(ended.code, ended.stdout).toBe(0);
    await vi.waitFor(async () => expect(await setting.present()).toEqual([]), { timeout: 60_000, interval: 1_000 });
    expect(await target.leftovers()).toEqual([]);
  });

  it('never touches what somebody else manages, not even with our label', async () => {
    const request = fixtureRequest(fixturePlan('kubernetes', sketches), folder);
    const name = `dmas-${request.deploymentId}-b`;
    await setting.create('v1/ServiceAccount', {
      metadata: {
        name,
        labels: { 'dmas-opt/deployment': request.deploymentId },
        annotations: { 'argocd.argoproj.io/tracking-id': 'shop:/ServiceAccount:default/x' },
      },
    });
    const failure = await failureOf((await targetOf()).deploy(request, testContext()));
    expect(failure?.message).toContain('is managed by Argo CD, so it is left alone');
    await setting.remove('v1/ServiceAccount', name);
  });

  it.each(studied)(
    'is where a study of %s runs, from the first block to its report',
    async (example) => {
      const own = createSandbox();
      try {
        const at = join(own.folder, 'scenario');
        mkdirSync(at);
        const ended = await cli(own, ['run', scenarioOn(setting, example, at), '--max-time', '4m']);
        // 30: the time cap came before the verdict.
        expect([0, 30], ended.stderr).toContain(ended.code);
        const run = own.run() ?? '';
        expect(existsSync(join(run, 'report.html'))).toBe(true);
        const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as Report;
        expect(report.verdict.sentence).not.toBe('');
        const blocks = report.trials.flatMap((trial) => trial.blocks);
        expect(blocks.length).toBeGreaterThan(0);
        expect(blocks.flatMap(({ usage }) => usage).some(({ cpuSeconds }) => cpuSeconds > 0)).toBe(true);
      } finally {
        await own.remove();
      }
    },
    480_000,
  );
});

/** What a program in a pod sees of its own rights (proc(5)), and whether it can write where it should not. */
const looking = `
import { readFileSync, writeFileSync } from 'node:fs';
const status = Object.fromEntries(readFileSync('/proc/self/status', 'utf8').split('\\n').map((line) => line.split(':\\t')));
const attempt = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
console.log(JSON.stringify({
  user: [process.getuid(), process.getgid()],
  capabilities: status.CapEff,
  noNewPrivileges: status.NoNewPrivs,
  seccomp: status.Seccomp,
  token: attempt(() => readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token')),
  root: attempt(() => writeFileSync('/written', '')),
  services: Object.keys(process.env).filter((name) => name.endsWith('_SERVICE_HOST') && !name.startsWith('KUBERNETES_')),
}));
`;

/** A pod of each unit and service. */
async function podsOf({ cluster }: Setting): Promise<ReadonlyMap<string, string>> {
  const pods = await listObjects(cluster, 'v1/Pod', ownSelector);
  return new Map(pods.map(({ metadata }) => [metadata.labels?.[labels.member] ?? '', metadata.name]));
}

/** Runs a program of Node.js in a pod and gives back what it prints. */
async function runIn({ cluster, namespace }: Setting, pod: string | undefined, code: string): Promise<string> {
  if (pod === undefined) throw new Error('there is no such pod');
  const [output, errors] = [new PassThrough().setEncoding('utf8'), new PassThrough().setEncoding('utf8')];
  let [said, complaints] = ['', ''];
  output.on('data', (text: string) => {
    said += text;
  });
  errors.on('data', (text: string) => {
    complaints += text;
  });
  const found = await cluster.ask<Pod>('GET', objectPath(cluster, 'v1/Pod', pod));
  const container = found.spec?.containers?.[0]?.name ?? '';
  const command = ['node', '--input-type=module', '-e', code];
  await new Promise<void>((resolve, reject) => {
    const done = ({ status, message }: { readonly status?: string; readonly message?: string }) =>
      status === 'Success' ? resolve() : reject(new Error(`${message}: ${complaints}`));
    new Exec(cluster.config).exec(namespace, pod, container, command, output, errors, null, false, done).catch(reject);
  });
  return said;
}

/** A user who has these rights in the namespace and no others: a service account with a token that lasts for the test. */
async function kubeconfigWith({ cluster, create, namespace }: Setting, rules: readonly object[], file: string): Promise<string> {
  const made = await create('v1/ServiceAccount', { metadata: { generateName: 'user-' } });
  const { name } = made.metadata;
  const rbac = 'rbac.authorization.k8s.io';
  await create(`${rbac}/v1/Role`, { metadata: { name }, rules });
  await create(`${rbac}/v1/RoleBinding`, {
    metadata: { name },
    roleRef: { apiGroup: rbac, kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  });
  const { status } = await cluster.ask<{ readonly status: { readonly token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
    { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3_600 } } },
  );
  const { config } = cluster;
  const { server, caData } = config.getCurrentCluster() ?? {};
  const text = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'real', cluster: { server, 'certificate-authority-data': caData } }],
    users: [{ name, user: { token: status.token } }],
    contexts: [{ name: 'real', context: { cluster: 'real', user: name, namespace } }],
    'current-context': 'real',
  });
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
