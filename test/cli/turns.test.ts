import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { JournalEntry } from '../../compiler/contracts/index.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, processesOf } from '../faults/lib/sandbox.ts';
import { standInProgram, writeNvidiaSmi } from '../fixtures/vllm/make.ts';

const scenario = join(import.meta.dirname, '../fixtures/vllm/study.yaml');

describe('a study whose model server is slow to load (a stand-in of vLLM, and of a machine with one GPU)', () => {
  const sandbox = createSandbox();
  afterAll(() => sandbox.remove());

  it('loads it once for all layouts, which take turns on it and its one GPU, and leaves nothing', async () => {
    const programs = join(sandbox.folder, 'programs');
    mkdirSync(programs);
    writeFileSync(join(programs, 'vllm'), await standInProgram('/usr/bin/env node'), { mode: 0o755 });
    writeNvidiaSmi(programs, 1);
    const environment = { PATH: `${programs}${delimiter}${process.env.PATH}` };
    const ended = await cli(sandbox, ['run', scenario], { environment });
    // 12 and 30: a busy host; what is asked here does not depend on times.
    expect([0, 12, 30], ended.stderr).toContain(ended.code);
    expect(ended.stderr + ended.stdout).not.toContain('could not be told');
    const journal = readFileSync(join(sandbox.run() ?? '', 'journal.ndjson'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as JournalEntry);
    const of = <Type extends JournalEntry['type']>(type: Type) =>
      journal.filter((entry): entry is Extract<JournalEntry, { type: Type }> => entry.type === type);
    expect(of('trial-failed')).toEqual([]);
    const blocks = of('block-finished').map(({ block }) => block);
    expect(new Set(blocks.map(({ configurationId }) => configurationId)).size).toBeGreaterThan(1);
    for (const { classes } of blocks) expect(classes.default?.errors).toEqual({});
    const servers = readdirSync(programs).filter((name) => name.startsWith('seen-'));
    expect(servers.length).toBe(1);
    expect(of('gpus-held').map(({ gpus }) => gpus)).toEqual([1, 0]);
    // Before every block of another layout than the one before.
    const turns = blocks.filter((block, n) => block.configurationId !== blocks[n - 1]?.configurationId).length;
    const forgotten = readFileSync(join(programs, 'forgotten.txt'), 'utf8').trim().split('\n');
    expect(forgotten.length).toBeGreaterThanOrEqual(turns);
    expect(new Set(forgotten).size).toBe(1);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 180_000);
});
