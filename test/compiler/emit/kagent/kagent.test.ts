import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { layoutOf } from '../../../../cli/layouts.ts';
import type { Project } from '../../../../cli/project.ts';
import { type Configuration, DmasError, type ProcessBinding } from '../../../../compiler/contracts/index.ts';
import { kagentEmitter } from '../../../../compiler/emit/kagent/emit.ts';
import { kagentProblems } from '../../../fixtures/kubernetes/kagent.ts';
import { kubernetesVersions, validateObject, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';
import { contentOf, type Exported, exampleNames, exported, openExample } from '../exported.ts';

interface KubernetesDocument {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels: { readonly [label: string]: string } };
  // biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, validated first
  readonly spec: any;
  readonly data?: { readonly [key: string]: string };
}

const documentsIn = (files: Exported, path: string): KubernetesDocument[] =>
  parseAllDocuments(contentOf(files, path)).map((document) => document.toJS());
const manifestsOf = ({ files }: Exported) => [...files.keys()].filter((path) => path.endsWith('.yaml'));
const allIn = (files: Exported) => manifestsOf(files).flatMap((path) => documentsIn(files, path));
const problemsOf = (object: KubernetesDocument): string[] => [
  ...kubernetesVersions
    .filter(versionAtHand)
    .flatMap((version) => validateObject(version, object).map((problem) => `${version} ${problem}`)),
  ...kagentProblems(object as unknown as Record<string, unknown>),
];
const doubled = (configuration: Configuration, id?: string): Configuration => ({
  ...configuration,
  units: configuration.units.map((unit) => (id === undefined || unit.id === id ? { ...unit, replicas: 2 } : unit)),
});
const refusalOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  if (!(error instanceof DmasError)) throw new Error(`not refused: ${error}`);
  return error.problems[0];
};

let travel: Project;
let apart: Configuration;
beforeAll(async () => {
  travel = await openExample('travel-planner');
  apart = await layoutOf(travel, 'one-per-agent');
});

describe('a layout for kagent', () => {
  it('is what it was', async () => {
    const files = await exported(travel, kagentEmitter, { configuration: apart });
    for (const path of ['agents.yaml', 'models.yaml', 'README.md'])
      await expect(contentOf(files, path)).toMatchFileSnapshot(`../../../golden/compiler/kagent/travel-planner.${path}.txt`);
  });

  it('has an Agent for every unit with agents, which listens where kagent knocks', async () => {
    const files = await exported(travel, kagentEmitter, { configuration: apart });
    const agents = documentsIn(files, 'agents.yaml');
    expect(agents.length).toBe(files.plan.units.filter(({ agents: own }) => own.length > 0).length);
    const beside = documentsIn(files, 'beside.yaml');
    for (const agent of agents) {
      const { deployment } = agent.spec.byo;
      const map = deployment.volumes.find((volume: { configMap?: object }) => volume.configMap !== undefined).configMap.name;
      const data = beside.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === map)?.data ?? {};
      const binding = JSON.parse(data['binding.json'] ?? '') as ProcessBinding;
      const a2a = Object.entries(binding.listen).filter(([address]) => address.includes('/a2a'));
      expect(a2a).toEqual([[expect.stringContaining('legacy=true'), { host: '0.0.0.0', port: 8080 }]]);
      expect(binding.drainMs).toBeLessThan(30_000);
      // Its account holds no token, since an Agent cannot say it of its pods.
      const account = beside.find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === deployment.serviceAccountName);
      expect(account).toMatchObject({ automountServiceAccountToken: false });
    }
  });

  it('gives an Agent no name that its controller would take from another object', async () => {
    const files = await exported(travel, kagentEmitter, { configuration: doubled(apart) });
    const others = documentsIn(files, 'beside.yaml').map(({ metadata }) => metadata.name);
    for (const { metadata } of documentsIn(files, 'agents.yaml')) expect(others).not.toContain(metadata.name);
  });

  it('finds the pods of an Agent by labels the controller keeps, and their ports by number', async () => {
    const files = await exported(travel, kagentEmitter, { configuration: apart });
    const beside = documentsIn(files, 'beside.yaml');
    for (const { spec } of documentsIn(files, 'agents.yaml')) {
      const { labels } = spec.byo.deployment;
      const services = beside.filter(
        ({ kind, spec: { selector } = {} as never }) =>
          kind === 'Service' && Object.entries(selector).every(([key, value]) => labels[key] === value),
      );
      expect(services.length).toBeGreaterThan(0);
      for (const service of services) for (const port of service.spec.ports) expect(port.targetPort).toEqual(expect.any(Number));
      const policy = beside.find(
        ({ kind, spec: { podSelector = {} } = {} as never }) =>
          kind === 'NetworkPolicy' && podSelector.matchExpressions?.[0].values.includes(labels['app.kubernetes.io/component']),
      );
      expect(policy?.spec.ingress[0].ports).toEqual([{ protocol: 'TCP', port: 8080 }]);
    }
  });

  it('scales the Deployment that the controller makes', async () => {
    const busy = { requestsPerSecond: 50, concurrency: 4, cpuSecondsPerRequest: 0.012, provenance: 'measured' };
    const capacityPerReplica = Object.fromEntries(apart.units.map(({ id }) => [id, busy]));
    const files = await exported(travel, kagentEmitter, { configuration: apart, facts: { capacityPerReplica } });
    const scalers = documentsIn(files, 'beside.yaml').filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    const agents = documentsIn(files, 'agents.yaml').filter(({ metadata: { name } }) =>
      scalers.some(({ spec }) => spec.scaleTargetRef.name === name),
    );
    expect(agents.length).toBeGreaterThan(0);
    for (const agent of agents) expect(agent.spec.byo.deployment.replicas).toBeUndefined();
  });

  it('is for one version of the API', async () => {
    const refused = (version: string) => refusalOf(exported(travel, kagentEmitter, { options: { version } }));
    expect(await refused('v1alpha3')).toMatchObject({
      code: 'DMAS_EXPORT',
      message: expect.stringContaining('BYO'),
      allowed: ['v1alpha2'],
    });
    expect(await refused('v1alpha1')).toMatchObject({ message: expect.stringContaining('none of type BYO') });
    expect(await refused('v9')).toMatchObject({ message: expect.stringContaining('not known') });
    await exported(travel, kagentEmitter, { options: { version: 'v1alpha2' } });
  });

  it('refuses to spread sessions that a replica holds', async () => {
    const desk = await openExample('support-desk');
    const refused = await refusalOf(exported(desk, kagentEmitter, { configuration: doubled(await layoutOf(desk, 'one-per-agent')) }));
    expect(refused).toMatchObject({ message: expect.stringContaining('keeps sessions'), fix: expect.stringContaining('one replica') });
  });
});

describe('every example', async () => {
  it.each(await exampleNames())('%s comes out valid, or says what to change', async (name) => {
    const project = await openExample(name);
    for (const layout of ['baseline', 'one-per-agent']) {
      const configuration = await layoutOf(project, layout).catch(() => undefined);
      if (configuration === undefined) continue;
      const attempt = exported(project, kagentEmitter, { configuration });
      if (name === 'group-chat') {
        expect(await refusalOf(attempt)).toMatchObject({
          message: expect.stringMatching(/^entry: .*topic/),
          fix: expect.stringContaining('kubernetes'),
        });
        continue;
      }
      if (name === 'polyglot') {
        // Programs that are commands: the planner says so for every place that starts containers.
        await expect(attempt).rejects.toThrow(/given by a command/);
        continue;
      }
      const files = await attempt;
      const objects = allIn(files);
      for (const object of objects) expect(problemsOf(object), `${object.kind} ${object.metadata.name}`).toEqual([]);
      const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
      expect(objects.every(({ kind, metadata }) => kind === 'Namespace' || metadata.namespace === 'kagent')).toBe(true);
      for (const { content } of files.files.values()) expect(content).not.toMatch(/\bundefined\b|\bNaN\b|\[object Object\]/);
    }
  });

  it('with tools of their own is known to kagent by them', async () => {
    const found: string[] = [];
    for (const name of await exampleNames()) {
      const project = await openExample(name);
      const configuration = await layoutOf(project, 'one-per-agent').catch(() => undefined);
      const files = configuration && (await exported(project, kagentEmitter, { configuration }).catch(() => undefined));
      if (files?.files.has('tools.yaml')) found.push(...documentsIn(files, 'tools.yaml').map(({ spec }) => spec.url));
    }
    expect(found.length).toBeGreaterThan(0);
    for (const url of found) expect(url).toMatch(/^http:\/\/[a-z0-9-]+-peers\.kagent:\d+\/[^/]+\/mcp$/);
  });
});

describe('what is no Agent', () => {
  const valid = (): KubernetesDocument => ({
    apiVersion: 'kagent.dev/v1alpha2',
    kind: 'Agent',
    metadata: { name: 'a', labels: {} },
    spec: { type: 'BYO', byo: { deployment: { image: 'app:1' } } },
  });
  const deployment = (change: object) => ({ ...valid(), spec: { type: 'BYO', byo: { deployment: { image: 'app:1', ...change } } } });

  it.each([
    ['a probe, for which it has no word', deployment({ readinessProbe: {} })],
    ['a command as a list', deployment({ cmd: ['node'] })],
    ['no image', { ...valid(), spec: { type: 'BYO', byo: { deployment: {} } } }],
    ['another type', { ...valid(), spec: { ...valid().spec, type: 'Declarative' } }],
    ["the controller's own label", deployment({ labels: { app: 'mine' } })],
    ['a mount without its volume', deployment({ volumeMounts: [{ name: 'x', mountPath: '/x' }] })],
    ['an unknown field of a volume', deployment({ volumes: [{ name: 'x', emptyDirectory: {} }] })],
    ['version v1alpha3', { ...valid(), apiVersion: 'kagent.dev/v1alpha3' }],
    ['a model without its key', { ...valid(), kind: 'ModelConfig', spec: { model: 'm', apiKeySecret: 's' } }],
    [
      'tools with TLS options over plain HTTP',
      { ...valid(), kind: 'RemoteMCPServer', spec: { description: 'd', url: 'http://x', tls: {} } },
    ],
  ])('%s', (_what, object) => {
    expect(problemsOf(valid())).toEqual([]);
    expect(problemsOf(object)).not.toEqual([]);
  });
});
