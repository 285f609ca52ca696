import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort as keptPort } from '../../runtime/targets/process/junction.ts';
import { agent, chat, hop, otlpLines, request } from '../profiler/analyze/otlp-file.ts';

const root = join(import.meta.dirname, '../..');
const files = ['README.md', ...(await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

/** Commands of the tool in the `sh` blocks of a page, in order, without comments and `npx`. */
const commandsOf = (text: string) =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)]
    .flatMap(([, block = '']) => block.split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

/** Told once and run elsewhere: `.ci/run` does both on a fresh clone. */
const readmeCommands = ['npm ci && npx dmas-opt run scenarios/travel-planner/scenario.yaml', 'npm ci && npm test'];
/** These measure, or need a run; the last test here runs them one after another. */
const long = [
  'dmas-opt run my-app/scenario.yaml',
  'dmas-opt list',
  'dmas-opt show',
  'dmas-opt report',
  'dmas-opt export --format compose',
  'dmas-opt export --format systemd --layout one-per-agent --out ops',
  'dmas-opt resume',
  'dmas-opt trial my-app/scenario.yaml all-in-one',
  'dmas-opt doctor --clean',
];
const deploy = 'dmas-opt deploy my-app/scenario.yaml --port 8080';
/** Of what serves. */
const live = ['dmas-opt apply all-in-one --dry-run'];

const pages = await Promise.all(
  files.map(async (file) => {
    const commands = commandsOf(await readFile(join(root, file), 'utf8'))
      .filter((line) => !readmeCommands.includes(line))
      .map((line) => line.replace(/^npx /, ''));
    return { file, commands };
  }),
);
const isShort = (command: string) =>
  /^dmas-opt (init|validate|plan|compile|schema|explain|export --list|analyze traces\.json|load (arrivals|sessions) |import (compose|langgraph)\.)/.test(
    command,
  );

const compose = 'services:\n  planner: { image: acme/planner, ports: ["8080:80"] }\n';

const cli = ['--import', import.meta.resolve('tsx'), join(root, 'cli/main.ts')];
/** With a list of deployments of its own, so that `doctor --clean` sees nobody else's. */
const run = (cwd: string, words: readonly string[]) =>
  promisify(execFile)(process.execPath, [...cli, ...words], {
    cwd,
    maxBuffer: 1 << 24,
    env: { ...process.env, NO_COLOR: '1', DMAS_OPT_STATE_DIR: cwd },
  });
const wordsOf = (command: string) => command.split(' ').slice(1);

describe('commands in the documentation', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-docs-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const fresh = () => mkdtemp(join(folder, 'page-'));

  it('are commands that a test runs', () => {
    const known = pages.flatMap(({ commands }) => commands.filter((line) => isShort(line) || [...long, ...live, deploy].includes(line)));
    expect(pages.flatMap(({ commands }) => commands)).toEqual(known);
    expect(known.length).toBeGreaterThan(10);
  });

  it.each(pages.filter(({ commands }) => commands.some(isShort)).map(({ file, commands }) => [file, commands] as const))(
    '%s',
    async (_file, commands) => {
      const cwd = await fresh();
      if (!commands.some((command) => command.startsWith('dmas-opt init'))) await run(cwd, ['init', 'my-app']);
      if (commands.some((command) => command.includes(' traces.json'))) await writeFile(join(cwd, 'traces.json'), traces());
      if (commands.some((command) => command.includes(' compose.yaml'))) await writeFile(join(cwd, 'compose.yaml'), compose);
      if (commands.some((command) => command.includes(' langgraph.json')))
        await writeFile(join(cwd, 'langgraph.json'), JSON.stringify({ graphs: { agent: './graph.ts:app' } }));
      if (commands.some((command) => command.startsWith('dmas-opt load'))) {
        await writeFile(join(cwd, 'arrivals.csv'), Array.from({ length: 300 }, (_, i) => `${i + ((i * 7) % 5) / 3}`).join('\n'));
        await writeFile(join(cwd, 'sessions.jsonl'), Array.from({ length: 25 }, (_, i) => session(i)).join('\n'));
      }
      for (const command of commands.filter(isShort)) {
        const { stdout } = await run(cwd, wordsOf(command));
        expect(stdout, command).not.toBe('');
      }
    },
  );

  it.skipIf(process.env.DMAS_OPT_FULL !== '1')(
    'that measure (DMAS_OPT_FULL=1: takes a minute)',
    async () => {
      const cwd = await fresh();
      await run(cwd, ['init', 'my-app']);
      // The same commands with shorter blocks.
      await shorten(join(cwd, 'my-app/scenario.yaml'));
      for (const command of long) {
        const { stdout } = await run(cwd, wordsOf(command)).catch((error: { stdout: string; stderr: string; code: number }) => {
          // A short budget may end it early, which is an outcome of its own.
          if (error.code !== 30) throw new Error(`${command} ended with ${error.code}: ${error.stderr}`);
          return error;
        });
        expect(stdout, command).not.toBe('');
      }
      const [id = ''] = await readdir(join(cwd, '.dmas-opt/runs'));
      expect(await readdir(join(cwd, '.dmas-opt/runs', id))).toEqual(
        expect.arrayContaining([
          'journal.ndjson',
          'scenario.json',
          'workflow.json',
          'session.json',
          'samples',
          'traces',
          'deployments',
          'report.json',
          'report.html',
          'report.md',
          'best',
        ]),
      );
    },
    180_000,
  );

  it.skipIf(process.env.DMAS_OPT_FULL !== '1')(
    'that serve (DMAS_OPT_FULL=1)',
    async () => {
      const cwd = await fresh();
      await run(cwd, ['init', 'my-app']);
      const port = await freePort();
      const child = spawn(process.execPath, [...cli, ...wordsOf(deploy).map((word) => (word === '8080' ? String(port) : word))], {
        cwd,
        env: { ...process.env, DMAS_OPT_STATE_DIR: cwd },
      });
      try {
        await saying(child, String(port));
        const response = await fetch(`http://127.0.0.1:${port}/`, {
          method: 'POST',
          body: '{"city":"Oslo"}',
          headers: { 'content-type': 'application/json', 'x-dmas-session': 's', 'x-dmas-request': 'r', 'x-dmas-deadline-ms': '10000' },
        });
        expect(response.status).toBe(200);
        expect(await response.json()).toHaveProperty('text');
        for (const command of live) expect((await run(cwd, wordsOf(command))).stdout, command).not.toBe('');
      } finally {
        child.kill('SIGINT');
        if (child.exitCode === null) await once(child, 'exit');
      }
    },
    60_000,
  );
});

describe('the documentation', () => {
  it('has a page for everything the README points to', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const pointed = [...readme.matchAll(/\]\(docs\/([a-z-]+\.md)\)/g)].map(([, name]) => name);
    expect(pointed.length).toBeGreaterThan(3);
    const present = files.map((file) => basename(file));
    expect(pointed.filter((name) => !present.includes(name ?? ''))).toEqual([]);
  });

  it('has links that lead somewhere', async () => {
    for (const { file } of pages) {
      const text = await readFile(join(root, file), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) await readFile(join(root, file, '..', target), 'utf8');
    }
  });
});

/** What somebody else’s application might have sent. */
const traces = () =>
  otlpLines([
    request(
      agent('planner', { at: 0, ms: 90, children: [chat('planner', 5, 40), hop('planner', 50, agent('weather', { at: 51, ms: 9 }), 2)] }),
    ),
  ]);

/** A recorded agent session of a few turns. */
const session = (n: number) =>
  JSON.stringify({
    requests: Array.from({ length: 3 + (n % 6) }, (_, turn) => ({
      in: 9000 + 300 * n + 700 * turn,
      out: 100 + 10 * n,
      think_time: turn === 0 ? 0 : 5,
      input_types: [turn % 2 === 0 ? 'text' : 'tool_result'],
    })),
  });

async function shorten(file: string): Promise<void> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(await readFile(file, 'utf8'));
  document.setIn(['workload', 'duration'], '600ms');
  document.setIn(['workload', 'warmup'], '200ms');
  document.setIn(['budget', 'time'], '20s');
  await writeFile(file, String(document));
}

/** None of the kernel's own, which a busy host would have given away before it is used. */
const freePort = () => keptPort('127.0.0.1');

async function saying(child: ChildProcess, text: string): Promise<void> {
  let said = '';
  for await (const piece of child.stdout ?? []) {
    said += piece;
    if (said.includes(text)) return;
  }
  throw new Error(`ended without saying ${text}: ${said}`);
}
