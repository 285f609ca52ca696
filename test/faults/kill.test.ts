import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createRandom } from '../../compiler/contracts/index.ts';
import { cli, scenarioFile, start } from './lib/command.ts';
import { createSandbox, journalLines, journalOf, processesOf, type Sandbox, socketsOf, stillListening } from './lib/sandbox.ts';

const kills = 10;
const seed = 20_260_101;

let sandbox: Sandbox;
afterEach(() => sandbox.remove());

const finishedBlocks = (run: string | undefined): string[] =>
  run === undefined ? [] : journalLines(run).filter((line) => line.includes('"type":"block-finished"'));

describe('kill -9 of a run', () => {
  it('at ten random moments loses no finished block, repeats none and leaves nothing behind', async () => {
    sandbox = createSandbox();
    const random = createRandom(seed);
    const known: string[] = [];
    const sockets: string[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      const run = sandbox.run();
      // A run that was killed before its journal existed has measured nothing; it is started anew.
      const command = start(
        sandbox,
        run === undefined ? ['run', scenarioFile, '--progress', 'plain'] : ['resume', run, '--progress', 'plain'],
      );
      await Promise.race([sleep(400 + random.next() * 3_000), command.finished]);
      sockets.push(...socketsOf(sandbox.folder));
      command.child.kill('SIGKILL');
      await command.finished;
      const now = finishedBlocks(sandbox.run());
      expect(now.slice(0, known.length), `after kill ${kill + 1}`).toEqual(known);
      known.push(...now.slice(known.length));
    }
    const run = sandbox.run();
    expect(run).toBeDefined();
    if (run === undefined) return;

    const last = await cli(sandbox, ['resume', run, '--progress', 'plain']);
    expect(last, last.stderr).toMatchObject({ code: expect.toSatisfy((code: number) => code === 0 || code === 30) });
    const blocks = finishedBlocks(run);
    expect(blocks.slice(0, known.length)).toEqual(known);
    const ids = blocks.map((line) => (JSON.parse(line) as { block: { id: string } }).block.id);
    expect(new Set(ids).size).toBe(ids.length);
    const entries = journalOf(run);
    expect(entries.at(-1)?.type).toBe('study-ended');
    expect(entries.filter((entry) => entry.type === 'study-started')).toHaveLength(1);
    // The moments were spread over the study: some sessions got somewhere, and several were needed.
    expect(entries.filter((entry) => entry.type === 'study-resumed').length).toBeGreaterThanOrEqual(3);

    expect(processesOf(sandbox.folder)).toEqual([]);
    expect(sockets.length).toBeGreaterThan(0);
    expect(stillListening(sockets)).toEqual([]);
    const checks = JSON.parse((await cli(sandbox, ['doctor', '--json'])).stdout) as { what: string; says: string }[];
    expect(checks.filter((check) => check.what.startsWith('left behind (process)'))).toEqual([]);
    expect(readdirSync(join(sandbox.folder, 'state'))).toEqual([]);
    // Folders of deployments and of the price measurement.
    expect(readdirSync(join(sandbox.folder, 'tmp')).filter((name) => /^dmas-[0-9a-f]{8}$/.test(name))).toEqual([]);
  }, 180_000);
});
