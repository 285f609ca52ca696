import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../../compiler/contracts/index.ts';
import type { KubernetesObject } from '../../../../runtime/targets/kubernetes/cluster.ts';
import { jobObjects } from '../../../../runtime/targets/kubernetes/job.ts';
import { ownerOf } from '../../../../runtime/targets/kubernetes/labels.ts';
import type { KubernetesOptions } from '../../../../runtime/targets/kubernetes/options.ts';
import { ownership } from '../../../../runtime/targets/kubernetes/record.ts';
import { type Staged, stagePlan } from '../../../../runtime/targets/kubernetes/stage.ts';
import type { StagedMember } from '../../../../runtime/targets/kubernetes/staged.ts';
import { tracesObjects } from '../../../../runtime/targets/kubernetes/traces.ts';
import { kubernetesTarget } from '../../../../runtime/targets/kubernetes.ts';
import { thisOwner } from '../../../../runtime/targets/process/lease.ts';
import type { DeployRequest } from '../../../../runtime/targets/target.ts';
import { kubernetesVersions, validateObject, versionAtHand } from '../../../fixtures/kubernetes/validate.ts';
import { bundlesOf, fixtureBundle, fixturePlan, fixtureRequest, fixtureService, type UnitSketch } from '../fixtures.ts';

const sketches: readonly UnitSketch[] = [
  { id: 'a', ingress: true, calls: ['b'], secrets: ['SECRET_OF_A'] },
  { id: 'b', replicas: 2, calls: ['c+d'] },
  { id: 'c+d' },
];
const planOf = (units = sketches): Plan => fixturePlan('kubernetes', units, [fixtureService('model-x')]);
const optionsOf = (given: object = {}) => kubernetesTarget.options.parse(given) as unknown as KubernetesOptions;
const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'record', uid: 'u' } as const;

function stage(plan = planOf(), rest: Partial<DeployRequest> = {}, options = optionsOf({ labels: { team: 'x' } }), generation = 0): Staged {
  const request = fixtureRequest(plan, '/nowhere', { deploymentId: 'd-1', environment: { SECRET_OF_A: 'swordfish' }, ...rest });
  return stagePlan({
    plan,
    bundles: request.bundles,
    name: 'dmas-d-1',
    options,
    request,
    otlpEndpoints: ['http://dmas-d-1-traces:4318'],
    reference,
    generation,
  });
}
const all = ({ members, common }: Staged): KubernetesObject[] => [...common, ...members.flatMap(({ own, doors }) => [...own, ...doors])];
const foreignServer = {
  ...{ image: 'vllm/vllm-openai:v0.19.0', fixedPort: 8000, folder: '.', environment: {}, portVariable: 'PORT', path: '/' },
  ...{ neighbours: {}, models: {}, instrumented: false },
};
const versionsOf = ({ members }: Staged) => Object.fromEntries(members.map(({ id, version }) => [id, version]));
interface Made {
  readonly selector: { readonly matchLabels: object };
}
const makerOf = ({ own }: StagedMember): KubernetesObject => own.at(-1) as KubernetesObject;
const memberOf = ({ members }: Staged, id: string) => members.find((member) => member.id === id) as StagedMember;

describe('the objects of a deployment', () => {
  it.each(kubernetesVersions.filter(versionAtHand))('are what a strict server of Kubernetes %s takes', async (version) => {
    const staged = stage();
    const metadata = { ...ownership('d-1') };
    const traces = await tracesObjects('dmas-d-1', { image: 'node:22', pullSecrets: ['p'], serviceAccount: '', ...metadata });
    const job = { id: 'block-1', code: 'console.log(1)', input: {}, folder: '/nowhere', timeoutMs: 1000 };
    const jobs = await jobObjects('dmas-job', job, { writes: ['/x'], watches: [] }, true, optionsOf());
    const problems = [...all(staged), ...traces.objects, ...jobs].flatMap((object) =>
      validateObject(version, object).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  it('all say whose they are, bear what the namespace wants and go with the record', () => {
    for (const object of all(stage())) {
      expect(object.metadata.labels).toMatchObject({
        'app.kubernetes.io/managed-by': 'dmas-opt',
        'dmas-opt/deployment': 'd-1',
        team: 'x',
      });
      expect(ownerOf(object)).toEqual(thisOwner());
      expect(object.metadata.ownerReferences).toEqual([reference]);
    }
  });

  it('keep a secret with the one unit that holds it, by reference', () => {
    const staged = stage();
    const secrets = all(staged).filter(({ kind }) => kind === 'Secret');
    expect(secrets.map(({ data }) => data)).toEqual([{ SECRET_OF_A: Buffer.from('swordfish').toString('base64') }]);
    const others = all(staged).filter(({ kind }) => kind !== 'Secret');
    expect(JSON.stringify(others)).not.toMatch(/swordfish/);
    const named = (id: string) => JSON.stringify(makerOf(memberOf(staged, id))).includes(secrets[0]?.metadata.name ?? '-');
    expect(['a', 'b', 'c+d', 'model-x'].map(named)).toEqual([true, false, false, false]);
  });

  it('lead to one version: pods, rules and Services say the same', () => {
    for (const member of stage().members) {
      const { version, own, doors } = member;
      const maker = makerOf(member);
      expect((maker.spec as Made).selector.matchLabels).toMatchObject({ 'dmas-opt/version': version });
      expect(maker.metadata.name.endsWith(version)).toBe(true);
      for (const door of doors) expect((door.spec as { selector: object }).selector).toMatchObject({ 'dmas-opt/version': version });
      const policies = own.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => (spec as { podSelector: object }).podSelector);
      expect(policies).toMatchObject([{ matchLabels: { 'dmas-opt/version': version } }]);
    }
  });

  it('tell units what the study decides', () => {
    const staged = stage(planOf(), { stubbedTools: ['pay'], effects: { modes: {} } as never });
    const bindings = all(staged).flatMap(({ data }) => (data as Record<string, string> | undefined)?.['binding.json'] ?? []);
    expect(bindings).toHaveLength(4);
    for (const binding of bindings)
      expect(JSON.parse(binding)).toMatchObject({ deploymentId: 'd-1', stubbedTools: ['pay'], instanceId: '' });
  });
});

describe('a version', () => {
  const first = versionsOf(stage());

  const changed = (next: Staged) => Object.keys(first).filter((id) => versionsOf(next)[id] !== first[id]);

  it('stays when nothing of the unit changes', () => {
    expect(versionsOf(stage())).toEqual(first);
  });

  it.each([
    ['c+d', ['a', 'b', 'c+d']],
    ['b', ['a', 'b']],
    ['a', ['a']],
  ])('changes with the code of %s, and with it that of whoever calls it', (id, all) => {
    const bundles = bundlesOf(planOf()).map((bundle) => (bundle.id === id ? fixtureBundle(id, '', 2) : bundle));
    expect(changed(stage(planOf(), { bundles })).sort()).toEqual(all);
    const more = planOf(sketches.map((sketch) => (sketch.id === id ? { ...sketch, replicas: 3 } : sketch)));
    expect(changed(stage(more)).sort()).toEqual(all);
  });

  it('changes with the generation, but for servers that load weights', () => {
    const loading = { ...fixtureService('model-x'), program: foreignServer };
    const plan = fixturePlan('kubernetes', sketches, [loading]);
    const of = (generation: number) => versionsOf(stage(plan, {}, optionsOf(), generation));
    const kept = (from: number, to: number) => Object.keys(of(from)).filter((id) => of(from)[id] === of(to)[id]);
    expect(kept(1, 1).sort()).toEqual(['a', 'b', 'c+d', 'model-x']);
    expect(kept(0, 1)).toEqual(['model-x']);
    expect(kept(1, 2)).toEqual(['model-x']);
  });

  it('is found under names of its own by those that were told them', () => {
    const hosts = (staged: Staged, id: string) =>
      memberOf(staged, id).own.flatMap(({ data }) => {
        const text = (data as Record<string, string> | undefined)?.['binding.json'];
        const names = text === undefined ? {} : (JSON.parse(text) as { names: Record<string, { host: string }> }).names;
        return Object.values(names).map(({ host }) => host);
      });
    const staged = stage();
    expect(hosts(staged, 'b')).toEqual([memberOf(staged, 'c+d').host]);
    expect(memberOf(staged, 'c+d').host).toContain(first['c+d']?.slice(0, 6));
    for (const { doors } of staged.members) for (const { metadata } of doors) expect(metadata.name.length).toBeLessThanOrEqual(63);
  });

  it('of a gateway stays whatever is behind it, and the name it knows leads to what serves', () => {
    const gateway = (units: readonly UnitSketch[], change = (plan: Plan) => plan) =>
      stage(change(fixturePlan('kubernetes', units, [fixtureService('front', 'gateway')])));
    const deaf = (plan: Plan): Plan => ({ ...plan, units: plan.units.map((unit) => ({ ...unit, listens: [] })) });
    const [before, after] = [gateway(sketches), gateway([{ id: 'a+b', ingress: true, replicas: 2 }], deaf)];
    expect(memberOf(after, 'front').version).toBe(memberOf(before, 'front').version);
    expect(memberOf(after, 'front').doors.map(({ metadata }) => metadata.name)).toEqual(
      memberOf(before, 'front').doors.map(({ metadata }) => metadata.name),
    );
    const entry = (staged: Staged, id: string) => memberOf(staged, id).doors.find(({ metadata }) => metadata.name.endsWith('-entry'));
    expect(entry(before, 'a')?.spec).toMatchObject({ selector: { 'dmas-opt/version': memberOf(before, 'a').version } });
    expect(entry(after, 'a+b')?.spec).toMatchObject({ selector: { 'dmas-opt/version': memberOf(after, 'a+b').version } });
    expect(entry(after, 'a+b')?.metadata.name).toBe(entry(before, 'a')?.metadata.name);
    const told = memberOf(after, 'front').own.flatMap(({ data }) => JSON.stringify(data ?? {}));
    expect(told.join()).toContain(entry(after, 'a+b')?.metadata.name);
  });

  it('changes where a unit calls somebody else', () => {
    const other = planOf(sketches.map((sketch) => (sketch.id === 'a' ? { ...sketch, calls: ['c+d'] } : sketch)));
    expect(versionsOf(stage(other)).a).not.toBe(first.a);
    expect(versionsOf(stage(other))['model-x']).toBe(first['model-x']);
  });
});

it('asks for no more GPUs than allowed', () => {
  const plan = planOf();
  const served = {
    ...fixtureService('big'),
    replicas: 2,
    program: {
      gpus: 2,
      folder: '.',
      environment: {},
      portVariable: 'PORT',
      path: '/',
      neighbours: {},
      models: {},
      instrumented: false,
      image: 'vllm',
    },
  };
  const greedy: Plan = { ...plan, services: [...plan.services, served] };
  expect(() => stage(greedy, {}, optionsOf({ gpus: { limit: 3 } }))).toThrow(/asks for 4 GPUs/);
  expect(() => stage(greedy, {}, optionsOf({ gpus: { limit: 4 } }))).not.toThrow();
});
