import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import type { Analysis } from '../../reports/analysis.ts';
import type { Report } from '../../reports/report.ts';
import { cli, type Finished } from '../faults/lib/command.ts';
import { createSandbox, processesOf, type Sandbox } from '../faults/lib/sandbox.ts';
import { agent, chat, hop, otlpLines, request, type SpanSpec } from '../profiler/analyze/otlp-file.ts';

const root = join(import.meta.dirname, '../..');
/** What a run may end with: a verdict (0) or too little time to reach one (30). Both are reports. */
const ended = [0, 30];

/** Every file of a folder with its content and time of change, but not those of installed packages. */
function stateOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => `${file} ${statSync(file).mtimeMs}\n${readFileSync(file, 'utf8')}`);
}

/** Makes exactly the edits the printed questions ask for, and shortens the run. */
function edit(file: string, edits: readonly (readonly [readonly string[], unknown])[]): void {
  const document = parseDocument(readFileSync(file, 'utf8'));
  const short = [
    [['workload', 'warmup'], '300ms'],
    [['workload', 'duration'], '600ms'],
    [['budget', 'time'], '20s'],
    [['budget', 'trials'], 2],
  ] as const;
  for (const [path, value] of [...edits, ...short]) document.setIn(path, document.createNode(value));
  writeFileSync(file, String(document));
}

function reportOf(sandbox: Sandbox, run: Finished) {
  expect(ended, `${run.stdout}${run.stderr}`).toContain(run.code);
  const folder = sandbox.run() ?? '';
  expect(existsSync(join(folder, 'report.html'))).toBe(true);
  return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Report;
}

/** What requests of all blocks failed with; nothing when the draft fits the application. */
function errorsOf({ trials }: ReturnType<typeof reportOf>): string[] {
  const blocks = trials.flatMap((trial) => trial.blocks);
  expect(blocks.length).toBeGreaterThan(0);
  return blocks.flatMap(({ classes }) => Object.values(classes).flatMap(({ errors }) => Object.keys(errors)));
}

describe('the first hour of a team with a LangGraph.js application', () => {
  let sandbox: Sandbox;
  let theirs: string;
  let before: string[];
  const command = (...words: string[]) => cli(sandbox, words, { cwd: theirs });
  beforeAll(() => {
    sandbox = createSandbox();
    theirs = join(sandbox.folder, 'shop');
    mkdirSync(theirs);
    for (const name of ['graph.ts', 'model.ts', 'langgraph.json', 'package.json'])
      cpSync(join(root, 'scenarios/langgraph-tools', name), join(theirs, name));
    symlinkSync(join(root, 'node_modules'), join(theirs, 'node_modules'));
    writeFileSync(join(theirs, 'traces.json'), otlpLines(Array.from({ length: 20 }, question), 250));
    before = stateOf(theirs);
  });
  afterAll(() => sandbox.remove());

  /**
   * One question as an instrumentation of LangGraph.js with the GenAI conventions tells it: the server span of the web
   * framework, the graph as `invoke_agent`, inside it two calls of the model and, between them, the two tools at once.
   */
  const question = (_: unknown, i: number): SpanSpec => {
    const tool = (name: string, ms: number): SpanSpec => ({
      name: `execute_tool ${name}`,
      service: 'shop',
      at: 210,
      ms,
      attributes: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': name },
    });
    const model = (at: number, ms: number) => chat('shop', at, ms, { in: 400 + i, out: 40 }, 'gpt-4o-mini');
    return request(
      agent('shop', { at: 0, ms: 500 + i, children: [model(5, 200), tool('stock', 3), tool('delivery', 4), model(220, 260 + i)] }),
    );
  };

  it('begins with advice from the traces alone', async () => {
    const { code, stdout, stderr } = await command('analyze', 'traces.json', '--out', '../advice');
    expect(code, stderr).toBe(0);
    // One process with everything in it: nothing can be moved, and most of the time is the model's.
    expect(stdout).toMatch(/^No layout would change anything\. \(modelled\)/);
    expect(stdout).toContain('Next:    dmas-opt import traces.json');
    const analysis = JSON.parse(readFileSync(join(sandbox.folder, 'advice/analysis.json'), 'utf8')) as Analysis;
    expect(analysis.provenance).toBe('modelled');
    expect(existsSync(join(sandbox.folder, 'advice/analysis.html'))).toBe(true);
  });

  it('goes on with a draft that validates and plans as it is', async () => {
    const made = await command('import', 'langgraph.json', 'traces.json', '--out', '../mine');
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout).toContain('Which model does shop ask? A simulated one answers until models.gpt-4o-mini says');
    expect(made.stdout).toContain('What does shop take? Its code has a state of messages');
    expect(made.stdout).not.toContain('left out');
    const next = /Next: dmas-opt validate (\S+) && dmas-opt plan \1\nThen: dmas-opt run \1\n$/.exec(made.stdout)?.[1] ?? '';
    const draft = parseDocument(readFileSync(join(theirs, next), 'utf8')).toJS();
    expect(draft).toMatchObject({
      name: 'shop',
      models: { 'gpt-4o-mini': { backend: 'simulated' } },
      baseline: { layout: 'all-in-one' },
      workload: { inputs: [{ messages: [{ role: 'user' }] }] },
    });
    const valid = await command('validate', next);
    expect(valid.code, valid.stderr).toBe(0);
    const plan = await command('plan', next);
    expect(plan.code, plan.stderr).toBe(0);
    expect(plan.stdout).toContain('units (1)');
  });

  it('ends with a report of a measurement, and their files are as they were', async () => {
    const file = join(sandbox.folder, 'mine/scenario.yaml');
    const real = [{ messages: [{ role: 'user', content: '{"part":"brake disc","city":"Oslo"}' }] }];
    edit(file, [[['workload', 'inputs'], real]]);
    const run = await command('run', file, '--progress', 'plain', '--max-time', '12s');
    const report = reportOf(sandbox, run);
    expect(run.stdout).toMatch(/^Verdict: .+\(simulated\)$/m);
    expect(errorsOf(report)).toEqual([]);
    // The whole graph was seen at work: the model, the tools it called, and the model again.
    const steps = (report.whereItGoes?.graphSteps ?? []).map(({ from, to }) => `${from}->${to}`).sort();
    expect(steps).toEqual(['agent->tools', 'tools->agent']);
    expect(report.trials.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(stateOf(theirs)).toEqual(before);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 60_000);
});

describe('the first hour of a team with containers that send no telemetry of their own', () => {
  let sandbox: Sandbox;
  let theirs: string;
  let before: string[];
  const command = (...words: string[]) => cli(sandbox, words, { cwd: theirs });
  beforeAll(() => {
    sandbox = createSandbox();
    theirs = join(sandbox.folder, 'reading-room');
    cpSync(join(root, 'test/fixtures/first-hour'), theirs, { recursive: true });
    writeFileSync(join(theirs, 'traces.json'), otlpLines(Array.from({ length: 20 }, reading), 250));
    before = stateOf(theirs);
  });
  afterAll(() => sandbox.remove());

  /** As the mesh around the containers sees it: a hop between two services, of which the second has two replicas. */
  const reading = (_: unknown, i: number): SpanSpec =>
    request(
      agent('desk', {
        at: 0,
        ms: 60 + i,
        children: [hop('desk', 5, agent('archive', { at: 7, ms: 40, instance: `archive-${i % 2}` }), 4)],
      }),
    );

  it('begins with advice, then a draft that validates and plans as it is', async () => {
    const advice = await command('analyze', 'traces.json', '--out', '../advice');
    expect(advice.code, advice.stderr).toBe(0);
    expect(advice.stdout).toMatch(/^(Worth trying|Perhaps|Not worth it).*\(modelled\)$/m);
    const made = await command('import', 'compose.yaml', 'traces.json', '--out', '../mine');
    expect(made.code, made.stderr).toBe(0);
    // What the two files say together is not asked: ports, addresses, replicas, who calls whom.
    expect(made.stdout).not.toMatch(/port|does it call it|environment variable/);
    expect(made.stdout).toContain('Give each agent a command beside its image and set target: process.');
    const draft = parseDocument(readFileSync(join(sandbox.folder, 'mine/scenario.yaml'), 'utf8')).toJS();
    expect(draft).toMatchObject({
      target: 'docker',
      agents: { desk: { image: 'acme/desk:4', port: 8080, neighbours: { ARCHIVE_URL: 'archive' } }, archive: { port: 8001 } },
      baseline: {
        layout: [
          { components: ['desk'], replicas: 1 },
          { components: ['archive'], replicas: 2 },
        ],
      },
    });
    for (const word of ['validate', 'plan']) {
      const { code, stdout, stderr } = await command(word, '../mine/scenario.yaml');
      expect(code, stderr).toBe(0);
      if (word === 'plan') expect(stdout).toContain('listens on 8001');
    }
  });

  it('ends with a report of their programs as commands, and their files are as they were', async () => {
    const file = join(sandbox.folder, 'mine/scenario.yaml');
    const started = (name: string) =>
      [
        [
          ['agents', name, 'command'],
          ['node', `${name}.mjs`],
        ],
        [['agents', name, 'folder'], '../reading-room'],
      ] as const;
    edit(file, [...started('desk'), ...started('archive'), [['target'], 'process'], [['workload', 'inputs'], [{ text: 'tides' }]]]);
    const run = await command('run', file, '--progress', 'plain', '--max-time', '12s');
    const report = reportOf(sandbox, run);
    expect(run.stdout).toMatch(/^Verdict: .+/m);
    expect(errorsOf(report)).toEqual([]);
    expect(report.trials.filter(({ state }) => state === 'failed')).toEqual([]);
    expect(stateOf(theirs)).toEqual(before);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 60_000);
});
