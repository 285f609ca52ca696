import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createRandom } from '../../../../compiler/contracts/index.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { stateDirVariable } from '../../../../runtime/targets/process/lease.ts';
import { dockerRemains, temporaryFolder } from '../fixtures.ts';
import { testSettings } from './settings.ts';

const target = createDockerTarget(testSettings);
const [missing] = await target.check();
const full = process.env.DMAS_OPT_FULL === '1';
const reason = !full ? 'set DMAS_OPT_FULL=1' : (missing?.message ?? '');
const ownerScript = fileURLToPath(new URL('../owner.ts', import.meta.url));
const kills = 10;
/** By then a deployment of four containers stands. */
const latestMs = 4_000;

describe.skipIf(reason !== '')(`kill -9 on docker${reason ? `: skipped, ${reason}` : ''}`, () => {
  const root = temporaryFolder();
  beforeAll(() => vi.stubEnv(stateDirVariable, join(root, 'registry')));
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(root, { recursive: true, force: true });
  });

  it('at random moments of a deployment leaves nothing after a clean', async () => {
    const random = createRandom(20_260_101);
    for (let round = 0; round < kills; round += 1) {
      const folder = join(root, `deployment-${round}`);
      mkdirSync(folder);
      const owner = spawn(process.execPath, ['--import', 'tsx', ownerScript, folder, '', 'docker'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(owner, 'exit');
      await once(owner.stdout, 'data');
      const afterMs = Math.round(random.next() * latestMs);
      await sleep(afterMs);
      owner.kill('SIGKILL');
      await exited;
      const id = `test-${owner.pid}-1`;
      // What the engine was asked for before the end may still be coming.
      await vi.waitFor(async () => {
        await target.clean();
        await sleep(300);
        expect(await dockerRemains(id), `killed after ${afterMs} ms`).toEqual([]);
        expect((await target.leftovers()).filter((line) => line.includes(id))).toEqual([]);
      }, 20_000);
    }
  }, 180_000);
});
