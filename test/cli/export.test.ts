import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openProject } from '../../cli/project.ts';
import { configurationId, exitCodes, onePerComponent } from '../../compiler/contracts/index.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, type Sandbox } from '../faults/lib/sandbox.ts';

const example = join(import.meta.dirname, '../../scenarios/weather-news/scenario.yaml');
const machine = { cores: 2, memoryMb: 1024, cpuModel: 'x', platform: 'linux', node: 'v20.0.0' };

let sandbox: Sandbox;
let ids: readonly string[];

/** A run as an older version left it: a scenario with fewer words, and a journal that ends after two layouts were added. */
beforeAll(async () => {
  sandbox = createSandbox();
  const project = await openProject(example);
  const layouts = [project.baseline, onePerComponent(project.workflow, project.defaults)];
  ids = layouts.map(configurationId);
  const folder = join(sandbox.runs, 'weather-news-old');
  mkdirSync(folder, { recursive: true });
  const { agents: _, rights: __, ...config } = project.written.config;
  writeFileSync(join(folder, 'scenario.json'), JSON.stringify({ ...project.written, config }));
  const started = {
    atMs: 0,
    type: 'study-started',
    schemaVersion: 1,
    studyId: 's',
    seed: 1,
    toolVersion: '0.0.1',
    scenarioSha256: '',
    machine,
  };
  const added = layouts.map((configuration, number) => ({
    ...{
      atMs: 1,
      type: 'trial-added',
      number,
      configurationId: ids[number],
      configuration,
      roles: number === 0 ? ['baseline'] : ['one-per-agent'],
    },
  }));
  writeFileSync(join(folder, 'journal.ndjson'), [started, ...added].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
});
afterAll(() => sandbox.remove());

const exported = (...args: string[]) => cli(sandbox, ['export', '--runs', sandbox.runs, ...args]);

describe('dmas-opt export', () => {
  it('writes the best layout of the newest run, or a trial of it, and replaces only its own files', async () => {
    const out = join(sandbox.runs, '..', 'out');
    const first = await exported('--format', 'compose', '--out', out, '--set', 'port=9090');
    expect([first.code, first.stderr]).toEqual([0, '']);
    expect(first.stdout).toContain(ids[0]);
    expect(readFileSync(join(out, 'compose.yaml'), 'utf8')).toContain('${PORT:-9090}');
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toContain('Nothing was measured of this layout');

    const again = await exported('weather-news-old', '--format', 'systemd', '--out', out);
    expect(again.code).toBe(exitCodes.invalidInput);
    expect(again.stderr).toContain('--force');

    writeFileSync(join(out, 'mine.txt'), 'kept');
    const forced = await exported('weather-news-old', '--format', 'systemd', '--trial', '1', '--out', out, '--force');
    expect([forced.code, forced.stderr]).toEqual([0, '']);
    expect(forced.stdout).toContain(ids[1]);
    expect(existsSync(join(out, 'compose.yaml'))).toBe(false);
    expect(readdirSync(out)).toEqual(expect.arrayContaining(['mine.txt', 'units', 'bundles', 'README.md']));
  });

  it('lists formats', async () => {
    const { code, stdout } = await exported('--list');
    expect(code).toBe(0);
    for (const format of ['compose', 'systemd', 'cronjob']) expect(stdout).toMatch(new RegExp(`^${format} `, 'm'));
  });

  it.each([
    [['--format', 'compos'], 'did you mean "compose"'],
    [[], '--format'],
    [['--format', 'compose', '--trial', '9'], 'no trial 9'],
    [['--format', 'compose', '--trial', '1', '--layout', 'baseline'], 'not both'],
    [['--format', 'compose', '--set', 'prot=1'], 'prot'],
    [['--format', 'compose', '--set', 'port'], 'option=value'],
    [['no-such-run', '--format', 'compose'], 'no-such-run'],
  ])('%j is told with a fix', async (args, said) => {
    const { code, stderr } = await exported(...args);
    expect(code).toBe(exitCodes.invalidInput);
    expect(stderr).toContain(said);
  });
});
