import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deployConfiguration } from '../../cli/laboratory.ts';
import { openProject, openTarget, type Project } from '../../cli/project.ts';
import { replayFacts, replayStats } from '../../cli/replay-facts.ts';
import { runFolder } from '../../cli/run-folder.ts';
import { studyEffects } from '../../cli/side-effects.ts';
import { allInOne, type Configuration, type JournalEntry, onePerComponent, type ReplayFacts } from '../../compiler/contracts/index.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, journalOf, type Sandbox } from '../faults/lib/sandbox.ts';
import { startUpstream, type Upstream } from '../runtime/replay/support.ts';

const topics = ['boats', 'trains', 'parks'];

describe('a recorded study', () => {
  let sandbox: Sandbox;
  let upstream: Upstream;
  const app = () => join(sandbox.folder, 'app');
  const planted = () => join(sandbox.folder, 'planted');
  const file = (name: string) => join(app(), name);

  /** A scenario file; JSON is YAML. */
  function scenario(name: string, more: object = {}, inputs = topics): string {
    const config = {
      name: 'replayed',
      workflow: './workflow.ts',
      models: { main: { backend: 'openai-compatible', url: upstream.url, options: { retries: 0 } } },
      prices: { models: { main: { inputPerMillionUsd: 10, cachedPerMillionUsd: 1, outputPerMillionUsd: 100 } } },
      workload: {
        inputs: inputs.map((topic) => ({ topic, file: planted() })),
        classes: { default: { arrivals: { process: 'constant', perSecond: 8 } } },
        warmup: '100ms',
        duration: '600ms',
      },
      search: { candidates: 1 },
      budget: { time: '12s', trials: 3 },
      ...more,
    };
    writeFileSync(file(name), JSON.stringify(config));
    return file(name);
  }
  const replay = { replay: { cassette: './cassette.ndjson', components: ['quote'] } };

  beforeAll(async () => {
    sandbox = createSandbox();
    mkdirSync(app());
    cpSync(join(import.meta.dirname, '../fixtures/replay/workflow.ts'), file('workflow.ts'));
    upstream = await startUpstream();
  });
  afterAll(async () => {
    await upstream.close();
    await sandbox.remove();
  });

  it('is not recorded without permission to store replies', async () => {
    const ended = await cli(sandbox, ['record', scenario('plain.yaml')]);
    expect(ended.code).toBe(10);
    expect(ended.stderr).toContain('DMAS_RECORD_PERMISSION');
    expect(ended.stderr).toContain('record: { content: replies }');
    expect(upstream.seen).toEqual([]);
  });

  it('is recorded once from the real model: replies of models and tools, no prompt, nothing planted', async () => {
    const ended = await cli(sandbox, ['record', scenario('live.yaml', { record: { content: 'replies' } }), '--progress', 'quiet']);
    expect(ended.code, ended.stderr + ended.stdout).toBe(0);
    expect(ended.stdout).toContain('3 of 3 requests answered; 9 exchanges recorded');
    expect(upstream.seen).toHaveLength(6);
    const text = readFileSync(file('cassette.ndjson'), 'utf8');
    for (const word of ['boats', 'You write', 'sk-live']) expect(text).not.toContain(word);
    expect(existsSync(planted())).toBe(false);
    const shown = await cli(sandbox, ['cassette', 'show', file('cassette.ndjson'), '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      entries: 9,
      damaged: 0,
      targets: expect.arrayContaining([
        expect.objectContaining({ kind: 'model', target: 'main', entries: 6, conversations: 3, replies: 6 }),
        expect.objectContaining({ kind: 'tool', target: 'quote', entries: 3, replies: 3 }),
      ]),
    });
    const merged = await cli(sandbox, ['cassette', 'merge', file('cassette.ndjson'), file('cassette.ndjson'), '-o', file('merged.ndjson')]);
    expect(merged.code, merged.stderr).toBe(0);
    expect(readFileSync(file('merged.ndjson'), 'utf8')).toBe(text);
    writeFileSync(file('empty.ndjson'), '');
    writeFileSync(file('broken.ndjson'), `${text}not an entry\n`);
    const broken = await cli(sandbox, ['cassette', 'check', file('broken.ndjson')]);
    expect(broken.code).toBe(10);
    expect(broken.stdout).toContain(`broken.ndjson:10  is not JSON`);
    // From here on nothing may ask it.
    await upstream.close();
  });

  it('says in its plan who runs, who is on the tape and who is not run', async () => {
    const path = scenario('replay.yaml', replay);
    const planned = await cli(sandbox, ['plan', path]);
    expect(planned.code, planned.stderr).toBe(0);
    expect(planned.stdout).toMatch(/quote +tool +from tape +named in replay.components/);
    expect(planned.stdout).toMatch(/wipe +tool +stubbed +has side effects nobody allowed/);
    const { effects, baseline } = JSON.parse((await cli(sandbox, ['plan', path, '--json'])).stdout);
    expect(effects).toEqual([
      expect.objectContaining({ name: 'quote', kind: 'tool', effect: 'idempotent', mode: 'tape' }),
      expect.objectContaining({ name: 'wipe', kind: 'tool', effect: 'sideEffect', mode: 'stub' }),
    ]);
    expect(JSON.stringify(baseline)).not.toContain(sandbox.folder);
  });

  async function answersOf(
    project: Project,
    configuration: Configuration,
    id: string,
  ): Promise<{ answers: unknown[]; facts: ReplayFacts | undefined }> {
    const target = await openTarget(project);
    const folder = runFolder(join(sandbox.folder, id), id);
    const context = { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: 1 };
    const { policy, stubbedTools } = studyEffects(project);
    const deployment = await deployConfiguration({ project, target, folder, context }, configuration, id, context, {
      effects: policy,
      stubbedTools,
    });
    try {
      const before = await replayStats(deployment);
      const ask = async (topic: string) => {
        const response = await fetch(`${deployment.ingressUrls[0]}/`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ topic, file: planted() }),
        });
        return response.json();
      };
      const answers = await Promise.all([...topics, ...topics].map(ask));
      return { answers, facts: replayFacts(before, await replayStats(deployment)) };
    } finally {
      await deployment.stop();
    }
  }

  it('gives the same answers twice, and in every layout', async () => {
    process.env.DMAS_OPT_STATE_DIR = sandbox.environment.DMAS_OPT_STATE_DIR;
    const project = await openProject(scenario('replay.yaml', replay));
    const { defaults, workflow } = project;
    const apart = await answersOf(project, onePerComponent(workflow, defaults), 'apart');
    const together = await answersOf(project, allInOne(workflow, defaults), 'together');
    const [first, second] = [apart.answers.slice(0, 3), apart.answers.slice(3)];
    expect(second).toEqual(first);
    expect(together.answers).toEqual(apart.answers);
    for (const answer of first)
      expect(answer).toEqual({
        text: expect.stringMatching(/^Reply \d/),
        review: expect.stringMatching(/^Reply \d/),
        price: expect.any(Number),
      });
    expect(new Set(first.map((answer) => JSON.stringify(answer))).size).toBe(3);
    for (const { facts } of [apart, together])
      expect(facts).toMatchObject({ requests: 18, misses: {}, ambiguous: 0, synthetic: 0, tokens: { main: { tokensOut: 84 } } });
    expect(existsSync(planted())).toBe(false);
  });

  const blocksOf = (journal: readonly JournalEntry[]) => journal.flatMap((entry) => (entry.type === 'block-finished' ? [entry.block] : []));

  it('runs without the model, counts its tokens, never reaches what was planted, and tells of calls nobody recorded', async () => {
    // One input of four is new.
    const path = scenario('missing.yaml', replay, [...topics, 'volcanoes']);
    const ended = await cli(sandbox, ['run', path, '--progress', 'quiet', '--max-time', '6s']);
    expect([0, 30], ended.stderr).toContain(ended.code);
    const journal = journalOf(sandbox.run() ?? '');
    const blocks = blocksOf(journal);
    expect(blocks.length).toBeGreaterThan(0);
    for (const { provenance, quality, replay: facts, money, purpose } of blocks) {
      expect(provenance).toBe('replayed');
      expect(facts?.misses, purpose).toEqual({ writer: expect.any(Number), ...(facts?.misses.desk ? { desk: expect.any(Number) } : {}) });
      const fault = quality.faults.find((one) => one.fault === 'replay-misses');
      expect(fault?.detail).toMatch(/replayed calls had no recorded reply \(.*writer \d+/);
      expect(money.tokensUsd).toBeGreaterThan(0);
      expect(money.tokensFixedUsd).toBeGreaterThanOrEqual(money.tokensUsd);
    }
    expect(journal.find((entry) => entry.type === 'decided')).not.toMatchObject({ kind: 'better' });
    expect(existsSync(planted())).toBe(false);
    expect(readFileSync(join(sandbox.run() ?? '', 'best/plan.txt'), 'utf8')).toContain('openai-compatible');
  }, 60_000);

  it.each([
    [
      'a cassette that is not there',
      { replay: { cassette: './none.ndjson' } },
      'DMAS_FILE_UNREADABLE',
      'dmas-opt record writes a cassette',
      'refused.yaml:1:',
    ],
    [
      'one without a word of a model',
      { replay: { cassette: './empty.ndjson' } },
      'DMAS_CASSETTE_NO_REPLIES',
      'holds nothing of model "main"',
      'refused.yaml:1:',
    ],
    ['a damaged one', { replay: { cassette: './broken.ndjson' } }, 'DMAS_CASSETTE_DAMAGED', 'line 10', 'broken.ndjson:10:'],
    [
      'options that do not exist',
      { replay: { cassette: './cassette.ndjson', options: { profil: 'x' } } },
      'DMAS_CFG_INVALID_VALUE',
      'profil',
      'refused.yaml:1:',
    ],
  ])('refuses %s, at its place', async (_, more, code, says, place) => {
    const ended = await cli(sandbox, ['validate', scenario('refused.yaml', more)]);
    expect(ended.code).toBe(10);
    expect(ended.stderr).toContain(code);
    expect(ended.stderr).toContain(says);
    expect(ended.stderr).toContain(place);
  });
});
