import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProcessTarget } from '../../../../runtime/targets/process/create.ts';
import { stateDirVariable, takeLease, thisOwner } from '../../../../runtime/targets/process/lease.ts';
import { connects, factsBehind, processesMentioning, temporaryFolder } from '../fixtures.ts';

const leaseModule = new URL('../../../../runtime/targets/process/lease.ts', import.meta.url).href;
const ownerScript = fileURLToPath(new URL('../owner.ts', import.meta.url));
const target = createProcessTarget({ drainMs: 1_000, queueLimit: 10 });

describe('what a killed owner leaves', () => {
  let root: string;
  let folder: string;
  let registry: string;
  const owners: ChildProcess[] = [];

  beforeEach(() => {
    root = temporaryFolder();
    folder = join(root, 'deployment');
    registry = join(root, 'registry');
    mkdirSync(folder);
    vi.stubEnv(stateDirVariable, registry);
    // Socket folders go where they can be counted.
    vi.stubEnv('TMPDIR', root);
  });
  afterEach(() => {
    for (const owner of owners.splice(0)) owner.kill('SIGKILL');
    for (const pid of processesMentioning(folder)) process.kill(pid, 'SIGKILL');
    vi.unstubAllEnvs();
    rmSync(root, { recursive: true, force: true });
  });

  const startOwner = (behaviour = '', what = 'process') => {
    const owner = spawn(process.execPath, ['--import', 'tsx', ownerScript, folder, behaviour, what], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    owners.push(owner);
    const lines = createInterface({ input: owner.stdout })[Symbol.asyncIterator]();
    return { owner, nextLine: async () => String((await lines.next()).value) };
  };
  const kill = async (owner: ChildProcess) => {
    const exited = once(owner, 'exit');
    owner.kill('SIGKILL');
    await exited;
  };
  const leases = () => readdirSync(registry);
  const socketFolders = () => readdirSync(root).filter((name) => name.startsWith('dmas-'));
  const expectNothingLeft = async () => {
    // One that was between fork and exec when its owner died carries no mark yet; it ends when it reads its input.
    await vi.waitFor(() => expect(processesMentioning(folder)).toEqual([]), 10_000);
    expect(await target.leftovers()).toEqual([]);
    expect(leases()).toEqual([]);
    expect(socketFolders()).toEqual([]);
    expect(existsSync(join(folder, 'bindings'))).toBe(false);
    expect(existsSync(join(folder, 'bundles'))).toBe(false);
  };

  it('ends by itself, and its files go with the next clean', async () => {
    const { owner, nextLine } = startOwner();
    await nextLine();
    const { url, b } = JSON.parse(await nextLine()) as { url: string; b: string };
    expect(await factsBehind(url, b)).toHaveLength(2);
    expect(processesMentioning(folder)).toHaveLength(3);
    expect(await target.leftovers()).toEqual([]);
    expect(await target.clean()).toEqual([]);
    expect(await connects(url)).toBe(true);
    await kill(owner);
    await vi.waitFor(() => expect(processesMentioning(folder)).toEqual([]), 10_000);
    expect(await connects(url)).toBe(false);
    expect(await target.leftovers()).not.toEqual([]);
    expect(await target.clean()).toContainEqual(expect.stringMatching(/^record of deployment test-/));
    await expectNothingLeft();
  });

  it('is killed by the next clean when it does not notice', async () => {
    const { owner, nextLine } = startOwner('stubborn');
    await nextLine();
    await nextLine();
    await kill(owner);
    await vi.waitFor(() => expect(processesMentioning(folder)).toHaveLength(2), 10_000);
    expect((await target.leftovers()).filter((line) => /^process \d+ \(b\.[01]\.\d+\) of deployment/.test(line))).toHaveLength(2);
    await target.clean();
    await expectNothingLeft();
  });

  it.each([0, 5, 20, 40, 80, 160])('is gone after a clean when the owner dies %i ms into deploying', async (afterMs) => {
    const { owner, nextLine } = startOwner('silent');
    await nextLine();
    await sleep(afterMs);
    await kill(owner);
    await target.clean();
    await expectNothingLeft();
  });

  it('is gone after a clean when a job was running', async () => {
    const { owner, nextLine } = startOwner('', 'job');
    await nextLine();
    await vi.waitFor(() => expect(processesMentioning(join(folder, 'job-1'))).toHaveLength(1), 10_000);
    await kill(owner);
    await vi.waitFor(() => expect(processesMentioning(folder)).toEqual([]), 10_000);
    await target.clean();
    await expectNothingLeft();
    expect(readdirSync(folder)).toEqual(['job-1.log']);
  });

  it('is found by its environment when it was never written down', async () => {
    const lease = takeLease('made-up', []);
    const file = join(registry, `${lease.id}.lease`);
    const header = { schemaVersion: 1, id: lease.id, deploymentId: 'made-up', paths: [], owner: { ...thisOwner(), startToken: '1' } };
    writeFileSync(file, `${JSON.stringify(header)}\n{"child":{"name":"cut off by the cra`);
    const stray = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { env: { DMAS_LEASE: lease.id }, stdio: 'ignore' });
    const exited = once(stray, 'exit');
    await vi.waitFor(async () => expect(await target.leftovers()).toContain(`process ${stray.pid} of deployment made-up`));
    await target.clean();
    expect(await exited).toEqual([null, 'SIGKILL']);
    expect(leases()).toEqual([]);
  });

  it('is not mistaken for a process that has its pid now', async () => {
    const lease = takeLease('made-up', []);
    const innocent = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true });
    const header = { schemaVersion: 1, id: lease.id, deploymentId: 'made-up', paths: [], owner: { ...thisOwner(), startToken: '1' } };
    const child = { child: { name: 'b.0.1', pid: innocent.pid, startToken: '1' } };
    writeFileSync(join(registry, `${lease.id}.lease`), `${JSON.stringify(header)}\n${JSON.stringify(child)}\n`);
    expect(await target.clean()).toEqual(['record of deployment made-up']);
    expect(innocent.exitCode ?? innocent.signalCode).toBe(null);
    const exited = once(innocent, 'exit');
    innocent.kill('SIGKILL');
    await exited;
  });

  it.each([
    ['another machine', { host: 'elsewhere' }],
    ['another container', { pidNamespace: 'pid:[1]' }],
  ])('is left alone when it belongs to %s', async (_where, difference) => {
    const lease = takeLease('made-up', []);
    const header = {
      schemaVersion: 1,
      id: lease.id,
      deploymentId: 'made-up',
      paths: [],
      owner: { ...thisOwner(), startToken: '1', ...difference },
    };
    writeFileSync(join(registry, `${lease.id}.lease`), `${JSON.stringify(header)}\n`);
    expect(await target.clean()).toEqual([]);
    expect(leases()).toEqual([`${lease.id}.lease`]);
  });

  it('of before the last start of the machine has no processes, only files', async () => {
    const lease = takeLease('made-up', []);
    const header = {
      schemaVersion: 1,
      id: lease.id,
      deploymentId: 'made-up',
      paths: [],
      owner: { ...thisOwner(), bootId: 'an earlier one' },
    };
    writeFileSync(join(registry, `${lease.id}.lease`), `${JSON.stringify(header)}\n`);
    expect(await target.clean()).toEqual(['record of deployment made-up']);
  });
});

describe('a lease cut off while it was written', () => {
  it.each([
    ['goes at once when its writer is dead', 'gone', []],
    ['stays while its writer lives', 'here', ['draft']],
  ])('%s', async (_what, writer, left) => {
    const root = temporaryFolder();
    vi.stubEnv(stateDirVariable, root);
    try {
      const script = `import { takeLease } from ${JSON.stringify(leaseModule)};
        import fs from 'node:fs';
        import { syncBuiltinESMExports } from 'node:module';
        fs.renameSync = () => { console.log('cut'); setInterval(() => {}, 1000); throw new Error('cut off here'); };
        syncBuiltinESMExports();
        try { takeLease('made-up', []) } catch {}`;
      const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(owner.stdout, 'data');
      const exited = once(owner, 'exit');
      if (writer === 'gone') {
        owner.kill('SIGKILL');
        await exited;
      }
      expect(readdirSync(root)).toHaveLength(1);
      await target.clean();
      expect(readdirSync(root).map(() => 'draft')).toEqual(left);
      owner.kill('SIGKILL');
      await exited;
    } finally {
      vi.unstubAllEnvs();
      rmSync(root, { recursive: true, force: true });
    }
  });
});

describe('the registry', () => {
  it('is refused when others may write to it', async () => {
    const root = temporaryFolder();
    const registry = join(root, 'open');
    mkdirSync(registry, { mode: 0o777 });
    const { chmodSync } = await import('node:fs');
    chmodSync(registry, 0o777);
    vi.stubEnv(stateDirVariable, registry);
    try {
      expect(() => takeLease('made-up', [])).toThrow(/not a folder that only you can write to/);
      expect((await target.check()).map(({ message }) => message)).toContainEqual(expect.stringContaining('only you can write to'));
    } finally {
      vi.unstubAllEnvs();
      rmSync(root, { recursive: true, force: true });
    }
  });
});
