import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, start } from '../faults/lib/command.ts';
import { createSandbox, processesOf, type Sandbox, until } from '../faults/lib/sandbox.ts';
import { ours } from '../stand-ins/kubernetes/around.ts';
import { type KubernetesStandIn, startKubernetesStandIn } from '../stand-ins/kubernetes/server.ts';
import { type Behaviour, startLoad, writeApplication } from './live-scenario.ts';

const full = process.env.DMAS_OPT_FULL === '1';

describe.runIf(full)('apply on a cluster', () => {
  let server: KubernetesStandIn;
  let sandbox: Sandbox;
  let environment: { readonly [name: string]: string };
  beforeEach(async () => {
    server = await startKubernetesStandIn({ run: 'process', images: { '*': '' } });
    sandbox = createSandbox();
    const kubeconfig = join(sandbox.folder, 'kubeconfig');
    writeFileSync(kubeconfig, server.kubeconfig());
    environment = { KUBECONFIG: kubeconfig };
  });
  afterEach(async () => {
    await server.close();
    await sandbox.remove();
    rmSync(sandbox.folder, { recursive: true, force: true });
  });

  const deployed = async () => {
    const source = join(sandbox.folder, 'app');
    const command = start(sandbox, ['deploy', writeApplication(source), '--target', 'kubernetes'], { environment });
    await command.says(/answers at http/, 120_000);
    const url = /answers at (\S+)/.exec(command.stdout())?.[1] ?? '';
    expect(url, command.stderr()).toMatch(/^http/);
    return { command, url, source };
  };
  const apply = (...args: string[]) => cli(sandbox, ['apply', ...args, '--yes'], { environment });
  const answer = async (url: string) =>
    ((await (await fetch(url, { method: 'POST', body: '{"name":"Ann"}' })).json()) as { text?: string }).text;

  it('moves there and back under load without a failed request, goes back from what is bad, and leaves nothing', async () => {
    const { command, url, source } = await deployed();
    const load = startLoad(url, 50);
    const applied = await apply('all-in-one', '--watch', '4s');
    expect(applied.stdout, applied.stderr).toMatch(
      /prepare: [\s\S]*shift: [\s\S]*watch: [\s\S]*commit: [\s\S]*applied: every limit held \(\d+ requests/,
    );
    expect(applied.code).toBe(0);
    const back = await apply('baseline', '--watch', '0s');
    expect(back.stdout, back.stderr).toContain('applied; it was not watched');
    const bad: [Behaviour, RegExp, number][] = [
      [{ sleepMs: 700 }, /not applied: .*latency\.p50 of default was [78]\d\d ms over \d+ requests, not at most 400 ms/, 20],
      [{ dies: true }, /not applied: unit shout replica 0 did not start: ended with code 1.*\n(.*\n)*.*licence server/, 11],
    ];
    for (const [behaviour, sentence, code] of bad) {
      writeApplication(source, behaviour);
      const outcome = await apply('baseline', '--watch', '30s');
      expect(outcome.stdout, outcome.stderr).toMatch(sentence);
      expect(outcome.code).toBe(code);
    }
    const { sent, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    // What a crash breaks off was on its way through the unit that crashed, so nothing is asked meanwhile.
    writeApplication(source, { diesAfterMs: 12_000 });
    const crashed = await apply('baseline', '--watch', '60s');
    expect(crashed.stdout, crashed.stderr).toMatch(/not applied: .*unit shout replica 0 crashed while it was watched: ended with code 3/);
    expect(crashed.code).toBe(20);
    expect(await answer(url)).toBe('HELLO ANN');
    command.child.kill('SIGINT');
    expect((await command.finished).code).toBe(0);
    expect(ours(server)).toEqual([]);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 600_000);

  it('that is killed with its deployment leaves nothing after doctor --clean', async () => {
    const { command } = await deployed();
    const applying = start(sandbox, ['apply', 'all-in-one', '--yes', '--watch', '30s'], { environment });
    expect(await applying.says('watch:', 120_000)).toBe(true);
    command.child.kill('SIGKILL');
    await command.finished;
    expect((await applying.finished).code).not.toBe(0);
    expect(ours(server).length).toBeGreaterThan(0);
    expect(await cli(sandbox, ['doctor', '--clean'], { environment })).toMatchObject({ code: 0 });
    expect(await until(() => ours(server).length === 0)).toBe(true);
  }, 300_000);
});
