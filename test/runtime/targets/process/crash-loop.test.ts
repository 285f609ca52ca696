import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createProcessTarget } from '../../../../runtime/targets/process/create.ts';
import type { Deployment } from '../../../../runtime/targets/target.ts';
import { addressOf, factsBehind, factsOf, fixturePlan, fixtureRequest, temporaryFolder, testContext } from '../fixtures.ts';

let folder = '';
let deployment: Deployment | undefined;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(async () => {
  await deployment?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('gives up on a replica that crashes again and again, and the others go on without it', async () => {
  const plan = fixturePlan('process', [
    { id: 'a', ingress: true, calls: ['b'] },
    { id: 'b', replicas: 2 },
  ]);
  const target = createProcessTarget({ drainMs: 1_000, queueLimit: 10 });
  deployment = await target.deploy(fixtureRequest(plan, folder), testContext());
  const live = deployment;
  const [url = ''] = live.ingressUrls;
  for (let crash = 1; crash <= 6; crash += 1) {
    await vi.waitFor(() => live.kill('b', 0), 15_000);
    const restarted = () => live.incidents().filter(({ what }) => what === 'restarted').length;
    if (crash <= 5) await vi.waitFor(() => expect(restarted()).toBe(crash), 15_000);
  }
  await vi.waitFor(() => expect(live.incidents().at(-1)).toMatchObject({ unit: 'b', replica: 0, what: 'unhealthy' }), 15_000);
  expect(live.incidents().at(-1)?.detail).toMatch(/given up after 5 restarts in 60 s/);
  expect((await factsBehind(url, addressOf('b'))).map(({ replica }) => replica)).toEqual([1]);
  expect((await factsOf(url)).peers[addressOf('b')]).toHaveLength(1);
  expect((await live.usage()).find(({ id, replica }) => id === 'b' && replica === 0)).toMatchObject({ restarts: 5 });
  await expect(live.kill('b', 0)).rejects.toThrow(/no replica 0 of b is running/);
}, 60_000);
