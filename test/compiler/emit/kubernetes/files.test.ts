import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Project } from '../../../../cli/project.ts';
import type { EmittedFile, EmitterDescriptor } from '../../../../compiler/emit/emitter.ts';
import { knative } from '../../../../compiler/emit/knative.ts';
import type { KubernetesObject } from '../../../../compiler/emit/kubernetes/input.ts';
import { kubernetes } from '../../../../compiler/emit/kubernetes.ts';
import { kubernetesTools } from '../../../fixtures/kubernetes/validate.ts';
import { complaints, emitInputOf, factsOf, type Layout, layoutsOf, openExample } from './layouts.ts';

const skip = kubernetesTools === undefined;
const tool = (name: 'kubectl' | 'helm') => join(kubernetesTools ?? '', 'layer', name, name);

let folder = '';
const projects = new Map<string, Project>();
const layouts = new Map<string, readonly Layout[]>();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dmas-opt-kubernetes-'));
  for (const name of ['travel-planner', 'support-desk', 'polyglot']) {
    const project = await openExample(name);
    projects.set(name, project);
    layouts.set(name, await layoutsOf(project));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function emitted(format: EmitterDescriptor, example: string, layout: string, settings: object = {}): Promise<readonly EmittedFile[]> {
  const project = projects.get(example);
  const plan = layouts.get(example)?.find(({ name }) => name === layout)?.plan;
  if (project === undefined || plan === undefined) throw new Error(`${example} has no layout ${layout}`);
  const { emit } = await format.load();
  return emit(emitInputOf(project, plan, factsOf(plan)), format.options.parse(settings) as { readonly [option: string]: unknown });
}

function written(files: readonly EmittedFile[]): string {
  const at = mkdtempSync(join(folder, 'files-'));
  for (const { path, content } of files) {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    writeFileSync(join(at, path), content);
  }
  return at;
}

const objectsIn = (text: string): KubernetesObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
const idOf = ({ kind, metadata }: KubernetesObject) => `${kind}/${metadata.name}`;
const baseOf = (files: readonly EmittedFile[]) =>
  files.filter(({ path }) => path.startsWith('base/') && !path.endsWith('kustomization.yaml')).flatMap(({ content }) => objectsIn(content));

describe('the format kubernetes', () => {
  it.each(['travel-planner', 'support-desk'])('writes %s as it did', async (example) => {
    const files = await emitted(kubernetes, example, 'baseline');
    const text = files.map(({ path, content }) => `=== ${path}\n${content}`).join('\n');
    await expect(text).toMatchFileSnapshot(`../../../golden/compiler/${example}.kubernetes.txt`);
    expect(await emitted(kubernetes, example, 'baseline')).toEqual(files);
  });

  it('writes every program a pod names into the image, and says in the README how to go there and back', async () => {
    const files = await emitted(kubernetes, 'polyglot', 'doubled');
    const named = baseOf(files).flatMap((object) => JSON.stringify(object).match(/\/app\/[\w.]+\.mjs/g) ?? []);
    expect(named.length).toBeGreaterThan(0);
    const paths = files.map(({ path }) => path);
    for (const path of named) expect(paths).toContain(`image${path}`);
    const readme = files.find(({ path }) => path === 'README.md')?.content ?? '';
    for (const heading of ['Apply', 'Verify', 'Roll back', 'Who may do what', 'Replicas']) expect(readme).toContain(`\n## ${heading}\n`);
    expect(complaints(baseOf(files))).toEqual([]);
  });

  it('refuses a label that is none, with the way to write it', async () => {
    await expect(emitted(kubernetes, 'travel-planner', 'baseline', { labels: 'team' })).rejects.toThrow(/"team" is no name=value/);
  });

  it.skipIf(skip)('is built by kubectl: namespace and image of the overlay reach every object', async () => {
    const files = await emitted(kubernetes, 'travel-planner', 'doubled', { namespace: 'shop', image: 'registry.example/shop:7' });
    const built = objectsIn(
      execFileSync(tool('kubectl'), ['kustomize', join(written(files), 'overlays/production')], { encoding: 'utf8' }),
    );
    expect(built.map(idOf).sort()).toEqual(baseOf(files).map(idOf).sort());
    expect(built.every(({ metadata }) => metadata.namespace === 'shop')).toBe(true);
    expect(complaints(built)).toEqual([]);
  });

  it.skipIf(skip)('is a chart that Helm takes, and that renders the same objects', async () => {
    const settings = { pullSecrets: 'registry' };
    for (const example of ['travel-planner', 'polyglot', 'support-desk']) {
      const files = await emitted(kubernetes, example, 'doubled', settings);
      const chart = join(written(files), 'chart');
      expect(execFileSync(tool('helm'), ['lint', '--strict', chart], { encoding: 'utf8' })).toContain('0 chart(s) failed');
      const rendered = objectsIn(execFileSync(tool('helm'), ['template', 'r', chart], { encoding: 'utf8' }));
      const wanted = new Map(
        baseOf(files).map((object) => [idOf(object), JSON.parse(JSON.stringify(object).replaceAll('"dmas-opt"', '"Helm"'))]),
      );
      expect(rendered.map(idOf).sort()).toEqual([...wanted.keys()].sort());
      for (const object of rendered) expect(withoutPull(object)).toEqual(withoutPull(wanted.get(idOf(object))));
      expect(complaints(rendered)).toEqual([]);
    }
  });

  it.skipIf(skip)('lets values change replicas, images, resources and the host', async () => {
    const files = await emitted(kubernetes, 'travel-planner', 'doubled', { autoscaling: 'none' });
    const values = [
      'units.research.replicas=5',
      'units.research.containers.research.resources.limits.memory=1Gi',
      'image.tag=8',
      'ingress.host=shop.example',
    ];
    const chart = join(written(files), 'chart');
    const rendered = objectsIn(
      execFileSync(tool('helm'), ['template', 'r', chart, ...values.flatMap((value) => ['--set', value])], { encoding: 'utf8' }),
    );
    expect(complaints(rendered)).toEqual([]);
    const text = JSON.stringify(rendered.find((object) => idOf(object) === 'Deployment/travel-planner-research'));
    expect(text).toContain('"replicas":5');
    expect(text).toContain('"memory":"1Gi"');
    expect(text).toMatch(/"image":"travel-planner:8"/);
    expect(rendered.map(idOf)).toContain('Ingress/travel-planner-gateway');
  });
});

/** The chart always says how images are pulled; manifests leave it to the cluster. */
const withoutPull = (object: unknown) => JSON.parse(JSON.stringify(object).replaceAll(',"imagePullPolicy":"IfNotPresent"', ''));

describe('the format knative', () => {
  it('writes the entry as a Service that scales to nothing, and what it calls beside it', async () => {
    const files = await emitted(knative, 'travel-planner', 'doubled');
    const text = files.map(({ path, content }) => `=== ${path}\n${content}`).join('\n');
    await expect(text).toMatchFileSnapshot('../../../golden/compiler/travel-planner.knative.txt');
    const objects = files
      .filter(({ path }) => ['service.yaml', 'callees.yaml'].includes(path))
      .flatMap(({ content }) => objectsIn(content));
    expect(complaints(objects)).toEqual([]);
    const service = objects.find(({ apiVersion }) => apiVersion === 'serving.knative.dev/v1');
    // 6.2 calls were under way in a replica at its capacity.
    expect(service?.spec).toMatchObject({
      template: { metadata: { annotations: { 'autoscaling.knative.dev/min-scale': '0' } }, spec: { containerConcurrency: 7 } },
    });
    expect(objects.map(idOf)).not.toContain('Deployment/travel-planner-gateway');
    expect(objects.map(idOf)).not.toContain('Deployment/travel-planner-travel');
    expect(files.find(({ path }) => path === 'README.md')?.content).toContain('waits about 850 ms longer');
  });

  it('says why an entry cannot go there', async () => {
    const plan = layouts.get('travel-planner')?.find(({ name }) => name === 'doubled')?.plan;
    const project = projects.get('travel-planner');
    if (plan === undefined || project === undefined) throw new Error('travel-planner has no layout of two replicas each');
    const sessions = {
      ...plan,
      services: plan.services.map((service) =>
        service.kind === 'gateway' ? { ...service, options: { ...service.options, balancing: 'session' } } : service,
      ),
    };
    const { emit } = await knative.load();
    expect(() => emit(emitInputOf(project, sessions), knative.options.parse({}))).toThrow(/session belongs to one of its replicas/);
    const topic = { ...plan, ingress: { ...plan.ingress, entry: { kind: 'topic', publish: 'a', complete: 'b' } as const } };
    expect(() => emit(emitInputOf(project, topic), knative.options.parse({}))).toThrow(/the replica that took it/);
  });

  it.skipIf(skip)('is built by kubectl', async () => {
    const at = written(await emitted(knative, 'travel-planner', 'baseline'));
    expect(complaints(objectsIn(execFileSync(tool('kubectl'), ['kustomize', at], { encoding: 'utf8' })))).toEqual([]);
  });
});
