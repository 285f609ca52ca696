import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onePerComponent } from '../../../../compiler/contracts/index.ts';
import { here, outsideScenario, type Speaker, speaker } from '../../../interop/outside.ts';
import { type Bench, openBench } from '../../../placements/deploy.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../../../stand-ins/kubernetes/server.ts';

/** Pods of the stand-in are processes, so what a policy denies is shown of the policies alone (compiler/emit/kubernetes). */
describe.skipIf(here === undefined)('places outside of pods', () => {
  let server: KubernetesStandIn;
  let folder = '';
  let mine: Speaker;
  let theirs: Speaker;
  let bench: Bench;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmas-kubernetes-egress-'));
    server = await startKubernetesStandIn({ run: 'process', images: { '*': folder }, backoffMs: 200 });
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, server.kubeconfig());
    [mine, theirs] = [await speaker('mine'), await speaker('theirs')];
    bench = await openBench(outsideScenario(folder, [mine.place, theirs.place], { kind: 'kubernetes', kubeconfig, drainMs: 100 }));
  }, 60_000);

  afterAll(async () => {
    await bench?.close();
    await server?.close();
    mine?.close();
    theirs?.close();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  it('are called through the egress service: each its own, and not another’s', { timeout: 120_000 }, async () => {
    const { project } = bench;
    await bench.with(onePerComponent(project.workflow, project.defaults), async ({ deployment, ask }) => {
      const { status, output } = await ask({ id: 'r-1', input: { urls: [mine.url, theirs.url] } });
      const refused = expect.stringMatching(/^failed: .* may not be called from here: no component of it declares that place/);
      expect([status, JSON.parse(output)]).toEqual([200, { answers: ['mine', refused, refused, 'theirs'] }]);
      const told = (await deployment.stats()).find(({ id }) => id === 'egress')?.stats as {
        egress: { [caller: string]: { allowed: object; refused: { place: string; reason: string; count: number }[] } };
      };
      expect(told.egress).toMatchObject({
        caller: { allowed: { [mine.place]: 1 }, refused: [{ place: theirs.place, reason: 'undeclared', count: 1 }] },
        neighbour: { allowed: { [theirs.place]: 1 }, refused: [{ place: mine.place, reason: 'undeclared', count: 1 }] },
      });
    });
  });
});
