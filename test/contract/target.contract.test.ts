import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Plan } from '../../compiler/contracts/index.ts';
import { dockerTarget } from '../../runtime/targets/docker.ts';
import { kubernetesTarget } from '../../runtime/targets/kubernetes.ts';
import { stateDirVariable } from '../../runtime/targets/process/lease.ts';
import { processTarget } from '../../runtime/targets/process.ts';
import type { Deployment, DeployRequest, Target, TargetDescriptor } from '../../runtime/targets/target.ts';
import {
  addressOf,
  ask,
  bundlesOf,
  connects,
  dockerRemains,
  type Facts,
  factsBehind,
  factsOf,
  fixtureBundle,
  fixturePlan,
  fixtureRequest,
  fixtureService,
  freePort,
  jobCode,
  processesMentioning,
  temporaryFolder,
  testContext,
  type UnitSketch,
} from '../runtime/targets/fixtures.ts';
import { startKubernetesStandIn } from '../stand-ins/kubernetes/server.ts';

/** One target and the tests' own way to see what it left. */
interface Subject {
  readonly descriptor: TargetDescriptor;
  /** Long enough for all that starts to have started. */
  readonly startsWithinMs: number;
  /** Where it runs, when that is not the same for everybody. */
  readonly options?: object;
  /**
   * Nobody supervises replicas from outside: each finds those it calls, and no others, by names it looks up again and again. They have no
   * numbers, a report of what they listen on is read by nobody, and a name leads to one version, so whoever calls what changed is replaced too.
   */
  readonly byName?: true;
  /** What lies in the folder of a deployment besides its logs. */
  readonly keeps: readonly string[];
  /** What still runs or lies about of a deployment. */
  remains(request: DeployRequest): Promise<string[]>;
}

const subjects: Subject[] = [
  {
    descriptor: processTarget,
    startsWithinMs: 1_500,
    keeps: ['state'],
    remains: async ({ folder }) => processesMentioning(folder).map((pid) => `process ${pid}`),
  },
  { descriptor: dockerTarget, startsWithinMs: 8_000, keeps: ['state'], remains: ({ deploymentId }) => dockerRemains(deploymentId) },
];

// Deployments on a cluster wait for names to be known, so this takes minutes.
const full = process.env.DMAS_OPT_FULL === '1';
const cluster = full ? await startKubernetesStandIn({ run: 'process', images: { '*': '' } }) : null;
if (cluster !== null) {
  const kubeconfig = join(temporaryFolder(), 'kubeconfig');
  writeFileSync(kubeconfig, cluster.kubeconfig());
  subjects.push({
    descriptor: kubernetesTarget,
    startsWithinMs: 15_000,
    options: { kubeconfig, dnsTtlMs: 0 },
    byName: true,
    keeps: [],
    remains: async ({ deploymentId }) =>
      cluster.store
        .all()
        .filter(({ metadata }) => metadata.labels?.['dmas-opt/deployment'] === deploymentId)
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`),
  });
  afterAll(async () => {
    await cluster.close();
    rmSync(dirname(kubeconfig), { recursive: true, force: true });
  });
}

// Leases of these tests, not of this user.
let registry = '';
beforeAll(() => {
  registry = temporaryFolder();
  process.env[stateDirVariable] = registry;
});
afterAll(() => rmSync(registry, { recursive: true, force: true }));

const sketches: readonly UnitSketch[] = [
  // Targets let nobody reach what it does not call.
  { id: 'a', ingress: true, calls: ['b', 'c+d', 'service://model-x'], secrets: ['SECRET_OF_A'] },
  { id: 'b', replicas: 2, calls: ['c+d'] },
  { id: 'c+d', replicas: 1 },
];

async function available({ descriptor, options }: Subject): Promise<string | null> {
  const { create } = await descriptor.load();
  const errors = (await create({ ...options }).check()).filter((problem) => problem.severity === 'error');
  return errors[0]?.message ?? null;
}

for (const subject of subjects) {
  const { descriptor, options, byName, keeps, remains, startsWithinMs } = subject;
  const missing = await available(subject);
  // Callers of a name see where it leads after seconds, so what is replaced waits for them.
  const patience = byName ? { timeout: 180_000 } : {};
  describe.skipIf(missing !== null)(`target ${descriptor.id}${missing ? `: skipped, ${missing}` : ''}`, patience, () => {
    let target: Target;
    let folder: string;
    const deployed: { deployment: Deployment; request: DeployRequest }[] = [];

    beforeEach(async () => {
      target = (await descriptor.load()).create({ drainMs: 2_000, ...options });
      folder = temporaryFolder();
    });
    afterEach(async () => {
      await Promise.all(deployed.splice(0).map(({ deployment }) => deployment.stop()));
      rmSync(folder, { recursive: true, force: true });
    });

    const planOf = (units: readonly UnitSketch[] = sketches, services = [fixtureService('model-x')]): Plan =>
      fixturePlan(descriptor.id, units, services);
    const deploy = async (plan: Plan = planOf(), rest: Partial<DeployRequest> = {}) => {
      const request = fixtureRequest(plan, folder, rest);
      const deployment = await target.deploy(request, testContext());
      deployed.push({ deployment, request });
      const [url = ''] = deployment.ingressUrls;
      return { deployment, request, url };
    };
    const leftIn = (path: string) => (existsSync(path) ? readdirSync(path).sort() : []);

    it('names itself after its file and says what it enforces', () => {
      expect(descriptor).toMatchObject({ kind: 'target', id: expect.stringMatching(/^[a-z-]+$/) });
      expect(descriptor.options.parse({})).toMatchObject({ drainMs: expect.any(Number), queueLimit: expect.any(Number) });
    });

    // Least privilege: nobody is told where what it does not call is, so there are no peers of all; the next case says what there is.
    it.skipIf(byName)('starts every replica and service, ready, with each the peers of all', async () => {
      const { url } = await deploy();
      const entry = await factsOf(url);
      expect(entry).toMatchObject({ id: 'a', replica: 0, samplingRatio: 1 });
      expect(Object.keys(entry.peers).sort()).toEqual(
        ['ingress', 'service://model-x', addressOf('a'), addressOf('b'), addressOf('c+d')].sort(),
      );
      const behindB = await factsBehind(url, addressOf('b'));
      expect(behindB.map(({ id, replica }) => [id, replica])).toEqual([
        ['b', 0],
        ['b', 1],
      ]);
      const [model] = await factsBehind(url, 'service://model-x');
      expect(model?.id).toBe('model-x');
      for (const facts of [...behindB, model]) expect(facts?.peers).toEqual(entry.peers);
      const instances = Object.entries(entry.peers)
        .filter(([address]) => address !== 'ingress')
        .flatMap(([, replicas]) => replicas.map(({ instanceId }) => instanceId));
      expect(new Set(instances).size).toBe(5);
    });

    it.runIf(byName)('starts every replica and service, ready, with each the peers it calls', async () => {
      const { url } = await deploy();
      const entry = await factsOf(url);
      expect(entry).toMatchObject({ id: 'a', samplingRatio: 1 });
      expect(Object.keys(entry.peers).sort()).toEqual(['service://model-x', addressOf('b'), addressOf('c+d')].sort());
      const behindB = await factsBehind(url, addressOf('b'));
      expect(behindB.map(({ id }) => id)).toEqual(['b', 'b']);
      for (const { peers } of behindB) expect(peers).toEqual({ [addressOf('c+d')]: entry.peers[addressOf('c+d')] });
      const all = [entry, ...behindB, ...(await factsBehind(url, 'service://model-x')), ...(await factsBehind(url, addressOf('c+d')))];
      expect(new Set(all.map(({ instanceId }) => instanceId)).size).toBe(5);
    });

    it('gives a secret to the unit that needs it, and nobody anything else of the environment', async () => {
      vi.stubEnv('SOMETHING_OF_THE_USER', 'private');
      const { url, deployment } = await deploy(planOf(), { environment: { SECRET_OF_A: 'swordfish', SECRET_OF_NOBODY: 'hidden' } });
      vi.unstubAllEnvs();
      const all = [await factsOf(url), ...(await factsBehind(url, addressOf('b'))), ...(await factsBehind(url, 'service://model-x'))];
      expect(all.map(({ environment }) => environment.SECRET_OF_A)).toEqual(['swordfish', undefined, undefined, undefined]);
      for (const { environment } of all) {
        expect(JSON.stringify(environment)).not.toContain('hidden');
        expect(environment).not.toHaveProperty('SOMETHING_OF_THE_USER');
        expect(environment).not.toHaveProperty('NODE_OPTIONS');
      }
      const log = await deployment.logs('a', 0);
      expect(log).toContain('the secret is [SECRET_OF_A]');
      expect(log).not.toContain('swordfish');
    });

    it('accounts the CPU time and memory of each replica', async () => {
      const { deployment, url } = await deploy();
      const before = await deployment.usage();
      expect(before.map(({ id, replica }) => `${id}/${replica}`).sort()).toEqual(['a/0', 'b/0', 'b/1', 'c+d/0', 'model-x/0']);
      await ask(url, '/burn', { cpuMs: 400 });
      const after = await deployment.usage();
      const spent = (id: string) =>
        (after.find((one) => one.id === id)?.cpuSeconds ?? 0) - (before.find((one) => one.id === id)?.cpuSeconds ?? 0);
      expect(spent('a')).toBeGreaterThan(0.35);
      expect(spent('c+d')).toBeLessThan(0.2);
      for (const { peakMemoryMb, restarts } of after) {
        // Pages of Node.js itself that containers share count for none of them.
        expect(peakMemoryMb).toBeGreaterThan(4);
        expect(restarts).toBe(0);
      }
    });

    it('tells every process the sampling ratio and to flush', async () => {
      const { deployment, url } = await deploy();
      await deployment.setSampling(0.25);
      await deployment.flushTraces();
      const all = [await factsOf(url), ...(await factsBehind(url, addressOf('b'))), ...(await factsBehind(url, 'service://model-x'))];
      expect(all.map(({ samplingRatio, flushes }) => [samplingRatio, flushes])).toEqual(all.map(() => [0.25, 1]));
    });

    it('restarts a killed replica as a new instance and tells everybody', async () => {
      const { deployment, url } = await deploy();
      await deployment.setSampling(0.5);
      const [first, other] = await factsBehind(url, addressOf('b'));
      const before = (await deployment.usage()).find(({ id, replica }) => id === 'b' && replica === 0);
      await deployment.kill('b', 0);
      await vi.waitFor(() => expect(deployment.incidents().map(({ what }) => what)).toEqual(['killed', 'restarted']), 15_000);
      expect(deployment.incidents()[0]).toMatchObject({ unit: 'b', replica: 0 });
      const [again, same] = await vi.waitFor(async () => {
        const present = await factsBehind(url, addressOf('b'));
        // Who has no number stands in another order.
        const isNew = ({ instanceId }: Facts) => instanceId !== first?.instanceId && instanceId !== other?.instanceId;
        const ordered = byName ? [...present].sort((one, another) => Number(isNew(another)) - Number(isNew(one))) : present;
        expect(ordered.map(isNew)).toEqual([true, false]);
        expect(ordered[0]?.samplingRatio).toBe(0.5);
        return ordered;
      }, 15_000);
      expect(again).toMatchObject({ id: 'b', replica: 0 });
      if (!byName) expect(same?.instanceId).toBe(other?.instanceId);
      expect(same?.peers).toEqual(again?.peers);
      const after = (await deployment.usage()).find(({ id, replica }) => id === 'b' && replica === 0);
      expect(after?.restarts).toBe(1);
      expect(after?.cpuSeconds).toBeGreaterThanOrEqual(before?.cpuSeconds ?? 0);
      expect(await deployment.logs('b', 0)).toContain(`${again?.instanceId} says hello`);
    });

    it('restarts a crashed ingress where its users know it', async () => {
      const { deployment, url } = await deploy();
      const { instanceId } = await factsOf(url);
      await ask(url, '/crash').catch(() => {});
      await vi.waitFor(() => expect(deployment.incidents().map(({ what }) => what)).toEqual(['crashed', 'restarted']), 15_000);
      expect(deployment.incidents()[0]?.detail).toContain('code 7');
      expect(deployment.ingressUrls).toEqual([url]);
      expect((await factsOf(url)).instanceId).not.toBe(instanceId);
    });

    it('leaves no process, port, socket or file when stopped, and may be stopped twice', async () => {
      const { deployment, request, url } = await deploy();
      expect(await remains(request)).not.toEqual([]);
      await Promise.all([deployment.stop(), deployment.stop()]);
      expect(await remains(request)).toEqual([]);
      expect(await connects(url)).toBe(false);
      expect(leftIn(folder)).toEqual(['logs', ...keeps]);
      expect(leftIn(join(folder, 'state'))).toEqual([]);
      expect((await target.leftovers()).filter((line) => line.includes(request.deploymentId))).toEqual([]);
      expect(deployment.incidents()).toEqual([]);
    });

    it('kills what does not end by itself', async () => {
      const plan = planOf([{ id: 'a', ingress: true }, { id: 'b' }]);
      const impatient = (await descriptor.load()).create({ drainMs: 0, ...options });
      const request = fixtureRequest(plan, folder, { bundles: bundlesOf(plan, { b: 'stubborn' }) });
      const deployment = await impatient.deploy(request, testContext());
      await deployment.stop();
      expect(await remains(request)).toEqual([]);
    });

    const misbehaviours = [
      ['fails', /unit c\+d replica 0 did not start: ended with code 3[\s\S]*cannot find the flux capacitor/],
      ['crashes-with-peers', /unit c\+d replica 0 did not start: ended with code 4/],
      ['never-ready', /unit c\+d replica 0 did not start: was not ready within \d+ ms[\s\S]*says hello/],
      ['silent', /unit c\+d replica 0 did not start: was not ready within \d+ ms/],
      ['deaf', /unit c\+d replica 0 did not start: started, but does not listen on unit:\/\/c\+d/],
    ] as const;
    // A pod listens where it is told to; whether it says so, nobody hears.
    const seen = misbehaviours.filter(([behaviour]) => !(byName && behaviour === 'deaf'));
    it.each(seen)('refuses a unit that %s, says why, and leaves nothing', async (behaviour, message) => {
      const plan = planOf();
      const readyTimeoutMs = behaviour === 'never-ready' || behaviour === 'silent' ? startsWithinMs : 20_000;
      const request = fixtureRequest(plan, folder, { bundles: bundlesOf(plan, { 'c+d': behaviour }), readyTimeoutMs });
      const failure = await target.deploy(request, testContext()).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'DMAS_DEPLOY_FAILED', message: expect.stringMatching(message) });
      expect(await remains(request)).toEqual([]);
      expect(leftIn(folder)).toEqual(['logs', ...keeps]);
    });

    it.each([0, 30, 120])('leaves nothing when interrupted %i ms into a deployment', async (afterMs) => {
      const plan = planOf();
      const request = fixtureRequest(plan, folder, { bundles: bundlesOf(plan, { b: 'never-ready' }) });
      const controller = new AbortController();
      const deploying = target.deploy(request, testContext(controller.signal)).catch((error: unknown) => error);
      if (afterMs > 0) await sleep(afterMs);
      controller.abort();
      expect(await deploying).toMatchObject({ code: 'DMAS_INTERRUPTED' });
      expect(await remains(request)).toEqual([]);
      expect((await target.leftovers()).filter((line) => line.includes(request.deploymentId))).toEqual([]);
    });

    describe('replacing a plan', () => {
      // Here c+d changes and b, which calls it, has another number of replicas: where a name leads to one version, both make b another one.
      it.skipIf(byName)('keeps units that did not change, replaces the others, and drains the old', async () => {
        const { deployment, url } = await deploy();
        const [b0] = await factsBehind(url, addressOf('b'));
        const [c0] = await factsBehind(url, addressOf('c+d'));
        const next = planOf(sketches.map((sketch) => (sketch.id === 'b' ? { ...sketch, replicas: 3 } : sketch)));
        const bundles = bundlesOf(next).map((bundle) => (bundle.id === 'c+d' ? fixtureBundle('c+d', '', 2) : bundle));
        await deployment.update({ plan: next, bundles }, testContext());
        expect(deployment.plan).toBe(next);
        expect(deployment.ingressUrls).toEqual([url]);
        const b = await factsBehind(url, addressOf('b'));
        expect(b.map(({ replica }) => replica)).toEqual([0, 1, 2]);
        expect(b[0]?.instanceId).toBe(b0?.instanceId);
        const c = await factsBehind(url, addressOf('c+d'));
        expect(c).toHaveLength(1);
        expect(c[0]?.instanceId).not.toBe(c0?.instanceId);
        expect(b[2]?.peers).toEqual((await factsOf(url)).peers);
        expect(deployment.incidents()).toEqual([]);
      });

      it('replaces what did not change where fresh replicas are asked for, and not again later', async () => {
        const { deployment, url } = await deploy();
        const [first] = await factsBehind(url, addressOf('c+d'));
        const update = { plan: deployment.plan, bundles: bundlesOf(deployment.plan) };
        await deployment.update({ ...update, fresh: true }, testContext());
        const [next = ''] = deployment.ingressUrls;
        const [second] = await factsBehind(next, addressOf('c+d'));
        expect(second?.instanceId).not.toBe(first?.instanceId);
        await deployment.update(update, testContext());
        const [last = ''] = deployment.ingressUrls;
        expect((await factsBehind(last, addressOf('c+d')))[0]?.instanceId).toBe(second?.instanceId);
      });

      it('lets what is in flight finish, the callees of the old plan included', async () => {
        const { deployment, url, request } = await deploy();
        const slow = ask<Facts[]>(url, '/slow', { waitMs: 600, forwardTo: addressOf('c+d') });
        await sleep(50);
        const merged = planOf([{ id: 'a+b+c+d', ingress: true }]);
        await deployment.update({ plan: merged, bundles: bundlesOf(merged) }, testContext());
        expect((await slow).map(({ id }) => id)).toEqual(['c+d']);
        const [next = ''] = deployment.ingressUrls;
        expect((await factsOf(next)).id).toBe('a+b+c+d');
        expect(await connects(url)).toBe(false);
        expect((await deployment.usage()).map(({ id }) => id).sort()).toEqual(['a+b+c+d', 'model-x']);
        await deployment.stop();
        expect(await remains(request)).toEqual([]);
      });

      it('goes on with the old plan when the new one does not start', async () => {
        const { deployment, url } = await deploy();
        const { instanceId, peers } = await factsOf(url);
        const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
        const bundles = bundlesOf(next, { 'a+b': 'fails' });
        await expect(deployment.update({ plan: next, bundles }, testContext())).rejects.toMatchObject({ code: 'DMAS_DEPLOY_FAILED' });
        expect(deployment.ingressUrls).toEqual([url]);
        expect(await factsOf(url)).toMatchObject({ instanceId, peers });
      });

      it('keeps the old replicas until the watch is over, and goes back to them when it says so', async () => {
        const { deployment, url, request } = await deploy();
        const before = await factsOf(url);
        const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
        const phases: string[] = [];
        const seen: string[] = [];
        const watch = async () => {
          const [now = ''] = deployment.ingressUrls;
          seen.push((await factsOf(now)).id, (await factsOf(url)).id);
          return 'it was too slow';
        };
        const steps = { entered: (phase: string) => void phases.push(phase), watch };
        await expect(deployment.update({ plan: next, bundles: bundlesOf(next) }, testContext(), steps)).rejects.toMatchObject({
          code: 'DMAS_UPDATE_ROLLED_BACK',
          message: 'The old layout serves again: it was too slow.',
        });
        expect(seen).toEqual(['a+b', 'a']);
        expect(phases).toEqual(['prepare', 'shift', 'watch', 'rollback', 'shift']);
        expect(deployment.ingressUrls).toEqual([url]);
        expect(await factsOf(url)).toMatchObject({ instanceId: before.instanceId, peers: before.peers });
        expect((await deployment.usage()).map(({ id }) => id).sort()).toEqual(['a', 'b', 'b', 'c+d', 'model-x']);
        await deployment.stop();
        expect(await remains(request)).toEqual([]);
      });

      it.each(['never-ready', 'silent', 'crashes-with-peers'] as const)('is not shifted to a unit that is %s', async (behaviour) => {
        const { deployment, url } = await deploy(planOf(), { readyTimeoutMs: 5_000 });
        const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
        const phases: string[] = [];
        const steps = { entered: (phase: string) => void phases.push(phase), watch: async () => null };
        const update = deployment.update({ plan: next, bundles: bundlesOf(next, { 'a+b': behaviour }) }, testContext(), steps);
        await expect(update).rejects.toMatchObject({ code: 'DMAS_DEPLOY_FAILED', message: expect.stringContaining('unit a+b replica 0') });
        expect(phases).toEqual(['prepare']);
        expect(deployment.ingressUrls).toEqual([url]);
        expect((await factsOf(url)).id).toBe('a');
      });

      it('hands a fixed ingress port over to the new plan', async () => {
        const ingressPort = await freePort();
        const { deployment, url } = await deploy(planOf(), { ingressPort });
        expect(url).toBe(`http://127.0.0.1:${ingressPort}`);
        const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
        await deployment.update({ plan: next, bundles: bundlesOf(next) }, testContext());
        expect(deployment.ingressUrls).toEqual([url]);
        expect((await factsOf(url)).id).toBe('a+b');
      });

      it('takes the old entry back when its successor cannot have the port', async () => {
        const ingressPort = await freePort();
        const { deployment, url } = await deploy(planOf(), { ingressPort, readyTimeoutMs: 5_000 });
        const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
        const bundles = bundlesOf(next, { 'a+b': 'fails' });
        await expect(deployment.update({ plan: next, bundles }, testContext())).rejects.toMatchObject({ code: 'DMAS_DEPLOY_FAILED' });
        await vi.waitFor(async () => expect((await factsOf(url)).id).toBe('a'), 15_000);
      });
    });

    it.each(['stopped', 'interrupted'])('leaves nothing when %s while a plan is being replaced', async (how) => {
      const { deployment, request } = await deploy();
      const controller = new AbortController();
      const next = planOf([{ id: 'a+b', ingress: true }, { id: 'c+d' }]);
      const bundles = bundlesOf(next, { 'a+b': 'never-ready' });
      const updating = deployment.update({ plan: next, bundles }, testContext(controller.signal)).catch((error: unknown) => error);
      await sleep(100);
      if (how === 'interrupted') {
        controller.abort();
        expect(await updating).toMatchObject({ code: 'DMAS_INTERRUPTED' });
        const [url = ''] = deployment.ingressUrls;
        expect((await factsOf(url)).id).toBe('a');
      }
      await deployment.stop();
      expect(await updating).toMatchObject({ code: expect.stringMatching(/^DMAS_/) });
      expect(await remains(request)).toEqual([]);
    });

    it('leaves nothing when stopped while a replica is coming back', async () => {
      const { deployment, request } = await deploy();
      await Promise.all([deployment.kill('b', 0), deployment.kill('model-x', 0)]);
      await sleep(110);
      await deployment.stop();
      expect(await remains(request)).toEqual([]);
      // Being stopped is no crash.
      expect(deployment.incidents().filter(({ what }) => what === 'crashed' || what === 'unhealthy')).toEqual([]);
    });

    it('puts a gateway in front of the ingress when the plan has one', async () => {
      const plan = planOf([{ id: 'a', ingress: true, replicas: 2 }], [fixtureService('gateway', 'gateway')]);
      const { deployment, url } = await deploy(plan);
      expect(deployment.ingressUrls).toHaveLength(1);
      expect((await factsOf(url)).id).toBe('gateway');
      const both = [
        ['a', 0],
        ['a', byName ? 0 : 1],
      ];
      const seen = async () => (await factsBehind(url, 'ingress')).map(({ id, replica }) => [id, replica]);
      // Where addresses are looked up again and again, the second may be found a moment after the first.
      if (byName) await vi.waitFor(async () => expect(await seen()).toEqual(both), { timeout: 10_000 });
      else expect(await seen()).toEqual(both);
    });

    it('never touches the deployment of a living owner when cleaning', async () => {
      const { url, request } = await deploy();
      const mine = (lines: readonly string[]) => lines.filter((line) => line.includes(request.deploymentId));
      expect(mine(await target.leftovers())).toEqual([]);
      expect(mine(await target.clean())).toEqual([]);
      expect(await connects(url)).toBe(true);
    });

    describe('jobs', () => {
      const job = (input: object, timeoutMs = 20_000) => ({ id: 'job-1', code: jobCode, input, folder, timeoutMs });

      it('give back their last line, and see nothing of the environment', async () => {
        vi.stubEnv('SOMETHING_OF_THE_USER', 'private');
        const result = (await target.runJob(job({ what: 'echo', value: [1, 'ü'] }), testContext())) as {
          echo: unknown;
          environment: object;
        };
        vi.unstubAllEnvs();
        expect(result.echo).toEqual([1, 'ü']);
        expect(result.environment).not.toHaveProperty('SOMETHING_OF_THE_USER');
        expect(leftIn(folder)).toEqual(['job-1.log']);
      });

      it('that fail say how', async () => {
        await expect(target.runJob(job({ what: 'fail' }), testContext())).rejects.toMatchObject({
          code: 'DMAS_JOB_FAILED',
          message: expect.stringMatching(/job-1 ended with code 9[\s\S]*started with fail/),
        });
        await expect(target.runJob(job({ what: 'babble' }), testContext())).rejects.toThrow(
          /no JSON as its last line but "no JSON at all"/,
        );
      });

      it('that hang are killed when their time is over or the run is interrupted', async () => {
        await expect(target.runJob(job({ what: 'hang' }, 700), testContext())).rejects.toThrow(/did not end within 700 ms/);
        const controller = new AbortController();
        const running = target.runJob(job({ what: 'hang' }), testContext(controller.signal)).catch((error: unknown) => error);
        await sleep(100);
        controller.abort();
        expect(await running).toMatchObject({ code: 'DMAS_INTERRUPTED' });
        expect(processesMentioning(folder)).toEqual([]);
      });
    });
  });
}
