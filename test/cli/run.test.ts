import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { cli, type Finished, fixture, scenarioFile, start } from '../faults/lib/command.ts';
import { createSandbox, journalOf, processesOf, type Sandbox } from '../faults/lib/sandbox.ts';

/** What a run may end with on a machine that others use too. */
const completed = [0, 30];

describe('a run and what can be asked of it afterwards', () => {
  let sandbox: Sandbox;
  let ended: Finished;
  beforeAll(async () => {
    sandbox = createSandbox();
    ended = await cli(sandbox, ['run', scenarioFile, '--progress', 'ndjson', '--max-time', '30s']);
  }, 90_000);
  afterAll(() => sandbox.remove());
  const run = () => sandbox.run() ?? '';
  const report = () => JSON.parse(readFileSync(join(run(), 'report.json'), 'utf8')) as Report;

  it('--progress ndjson gives a program one JSON object per line, the version first; the finding goes to people', () => {
    expect(completed, ended.stderr).toContain(ended.code);
    const lines = ended.stdout.trimEnd().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { type: string; atMs?: number });
    expect(events[0]).toEqual({ type: 'progress', version: 1 });
    for (const event of events.slice(1)) expect(event).toMatchObject({ type: expect.any(String), atMs: expect.any(Number) });
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['phase', 'plan', 'deployed', 'block-finished', 'best']));
    expect(ended.stderr).toContain('Verdict:');
    expect(ended.stderr).toContain('report.html');
  });

  it('has files that start the best layout', () => {
    expect(readdirSync(join(run(), 'best'))).toEqual(expect.arrayContaining(['bundles', 'configuration.json', 'plan.json', 'start.mjs']));
  });

  it('list and show tell what it found, on standard output without colour', async () => {
    const listed = await cli(sandbox, ['list']);
    expect(listed.stdout).toContain(basename(run()));
    expect(JSON.parse((await cli(sandbox, ['list', '--json'])).stdout)).toEqual([
      expect.objectContaining({ id: basename(run()), state: report().state, verdict: report().verdict.kind }),
    ]);
    const shown = await cli(sandbox, ['show']);
    expect(shown.stdout).toContain(report().verdict.sentence);
    expect(shown.stdout).not.toContain('\u001b');
    const trial = await cli(sandbox, ['show', basename(run()).slice(0, 12), '--trial', '0']);
    expect(trial.stdout).toContain('Trial 0: ');
    expect(trial.stdout).toContain('profile-0-');
    const none = await cli(sandbox, ['show', '--trial', '99']);
    expect(none.code).toBe(10);
    expect(none.stderr).toContain('allowed: 0');
    expect(JSON.parse((await cli(sandbox, ['show', '--json'])).stdout)).toEqual(report());
  });

  it('report writes any view again into another folder, and touches nothing of the run', async () => {
    const before = readFileSync(join(run(), 'report.json'), 'utf8');
    const out = join(sandbox.folder, 'out', 'reports');
    const written = await cli(sandbox, ['report', run(), '--format', 'json', '--out', out]);
    expect(written.code, written.stderr).toBe(0);
    expect(readdirSync(out)).toEqual(['report.json']);
    const { verdict, trials } = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report;
    expect(verdict).toEqual(report().verdict);
    expect(trials).toEqual(report().trials);
    expect(readFileSync(join(run(), 'report.json'), 'utf8')).toBe(before);
  });

  it('trial measures a layout given as a file', async () => {
    const other = createSandbox();
    try {
      const layout = join(other.folder, 'layout.json');
      const added = journalOf(run()).flatMap((entry) => (entry.type === 'trial-added' ? [entry] : []));
      writeFileSync(layout, JSON.stringify(added.at(-1)?.configuration));
      const tried = await cli(other, ['trial', scenarioFile, layout, '--progress', 'plain']);
      expect(completed, tried.stderr).toContain(tried.code);
      const entries = journalOf(other.run() ?? '');
      const searched = entries.find((entry) => entry.type === 'searched');
      expect(searched).toMatchObject({ chosen: [added.at(-1)?.configurationId] });
      // Plain lines where there is no terminal: no cursor is moved, no colour set.
      for (const control of ['\r', '\u001b']) expect(tried.stderr).not.toContain(control);
      expect(tried.stderr).toContain('# Profile of the present layout');
    } finally {
      await other.remove();
    }
  }, 90_000);
});

describe('a layout that is kept up', () => {
  let sandbox: Sandbox;
  beforeEach(() => {
    sandbox = createSandbox();
  });
  afterEach(() => sandbox.remove());

  const urlIn = (text: string): string => /http:\/\/[\d.]+:\d+/.exec(text)?.[0] ?? '';
  const greet = async (url: string) => {
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Eve"}' });
    return response.json();
  };

  it('by deploy serves until Ctrl-C', async () => {
    const command = start(sandbox, ['deploy', scenarioFile, '--layout', 'all-in-one']);
    expect(await command.says('Ctrl-C stops it'), command.stderr()).toBe(true);
    expect(await greet(urlIn(command.stdout()))).toEqual({ greeting: 'HELLO EVE' });
    command.child.kill('SIGINT');
    expect((await command.finished).code).toBe(0);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 60_000);

  it('by run --keep serves the best layout until Ctrl-C', async () => {
    const command = start(sandbox, ['run', scenarioFile, '--keep', '--progress', 'quiet', '--max-time', '10s']);
    expect(await command.says('until Ctrl-C', 90_000), command.stderr()).toBe(true);
    expect(command.stdout()).toContain('Verdict:');
    expect(await greet(urlIn(command.stdout()))).toEqual({ greeting: 'HELLO EVE' });
    command.child.kill('SIGINT');
    expect(completed).toContain((await command.finished).code);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 120_000);
});

describe('a secret', () => {
  const value = 'key-f00d5eed-do-not-tell';
  let sandbox: Sandbox;
  let model: Server;
  let keys: (string | undefined)[] = [];
  beforeEach(async () => {
    sandbox = createSandbox();
    keys = [];
    model = createServer((request, response) => {
      keys.push(request.headers.authorization);
      request.resume().on('end', () => {
        response.setHeader('content-type', 'application/json');
        // Every fifth call fails, and the answer repeats the key as careless servers do.
        if (keys.length % 5 === 0) {
          response.statusCode = 401;
          response.end(JSON.stringify({ error: { message: `Incorrect API key provided: ${value}` } }));
          return;
        }
        const message = { role: 'assistant', content: 'roses are red' };
        const usage = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 };
        response.end(
          JSON.stringify({
            id: '1',
            object: 'chat.completion',
            created: 1,
            model: 'm',
            choices: [{ index: 0, message, finish_reason: 'stop' }],
            usage,
          }),
        );
      });
    });
    await new Promise<void>((resolve) => model.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    model.closeAllConnections();
    await new Promise((resolve) => model.close(resolve));
    await sandbox.remove();
  });

  it('of a model reaches the model, and stands in no file and no output', async () => {
    const folder = join(sandbox.folder, 'scenario');
    mkdirSync(folder);
    const file = join(folder, 'scenario.yaml');
    writeFileSync(
      file,
      [
        'name: secret',
        `workflow: ${fixture('secret.ts')}`,
        'models:',
        `  main: { backend: openai-compatible, model: m, secret: POET_KEY, url: 'http://127.0.0.1:${(model.address() as AddressInfo).port}/v1' }`,
        'workload:',
        '  inputs: [{ topic: rain }]',
        '  classes: { default: { arrivals: { process: constant, perSecond: 20 }, timeout: 3s } }',
        '  warmup: 50ms',
        '  duration: 300ms',
        'search: { candidates: 1, replicas: { poet: [1, 2] } }',
        'budget: { time: 8s, trials: 2 }',
        '',
      ].join('\n'),
    );
    const environment = { POET_KEY: value };
    const ended = await cli(sandbox, ['run', file, '--progress', 'plain'], { environment });
    expect([...completed, 12], ended.stderr).toContain(ended.code);
    expect(keys).toContain(`Bearer ${value}`);
    expect(ended.stdout + ended.stderr).not.toContain(value);
    const run = sandbox.run() ?? '';
    const files = readdirSync(run, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(10);
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name);
      expect(readFileSync(path).includes(value), path).toBe(false);
    }
    expect(existsSync(join(run, 'best', 'start.mjs'))).toBe(true);
  }, 90_000);
});
