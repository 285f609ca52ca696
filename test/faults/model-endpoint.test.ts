import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelFaults, type ProcessBinding } from '../../compiler/contracts/index.ts';
import type { Report } from '../../reports/report.ts';
import { type Behaviour, brokenEndpoint } from '../runtime/llm/endpoints.ts';
import { fixture, start } from './lib/command.ts';
import { blocksOf, createSandbox, journalOf, processesOf, type Sandbox } from './lib/sandbox.ts';

const key = 'sk-value-that-nobody-else-has';
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(() => sandbox.remove());

/** A study of a few seconds over two agents, of which one asks the endpoint. */
async function study(behaviour: Parameters<typeof brokenEndpoint>[0], model = '{ retries: 1, stallTimeoutMs: 200 }') {
  const endpoint = await brokenEndpoint(behaviour);
  const folder = join(sandbox.folder, 'scenario');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'scenario.yaml');
  writeFileSync(
    file,
    [
      'name: model-faults',
      `workflow: ${fixture('model.ts')}`,
      'models:',
      '  main:',
      '    backend: openai-compatible',
      `    url: ${endpoint.url}/v1`,
      '    secret: FAULTS_MODEL_KEY',
      `    options: ${model}`,
      '    limits: { concurrency: 4 }',
      'workload:',
      '  inputs: [{ topic: rain }]',
      '  classes: { default: { arrivals: { process: constant, perSecond: 40 }, timeout: 3s, stream: true } }',
      '  warmup: 100ms',
      '  duration: 1500ms',
      'search: { candidates: 1 }',
      'budget: { time: 15s, trials: 2 }',
      '',
    ].join('\n'),
  );
  try {
    const command = start(sandbox, ['run', file, '--progress', 'plain'], { environment: { FAULTS_MODEL_KEY: key } });
    const keys = watchKeys();
    const ended = await command.finished;
    const run = sandbox.run() ?? '';
    return { ended, run, keys: keys.stop(), mostAtOnce: endpoint.mostAtOnce() };
  } finally {
    await endpoint.close();
  }
}

/** Which deployed processes have the key, by unit or service, as long as it is watched. */
function watchKeys() {
  const holders = new Map<string, boolean>();
  const timer = setInterval(() => {
    for (const pid of processesOf(sandbox.folder)) {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
        const binding = /(?:^|\0)DMAS_BINDING=([^\0]+)/.exec(environment)?.[1];
        if (binding === undefined) continue;
        const { id } = JSON.parse(readFileSync(binding, 'utf8')) as ProcessBinding;
        holders.set(id, environment.includes(key));
      } catch {
        // It went while it was looked at.
      }
    }
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      return Object.fromEntries(holders);
    },
  };
}

const errorsOf = (run: string) => {
  const all: { [error: string]: number } = {};
  for (const block of blocksOf(run))
    for (const [error, count] of Object.entries(block.classes.default?.errors ?? {})) all[error] = (all[error] ?? 0) + count;
  return all;
};

const ways: readonly Behaviour[] = [
  'busy',
  'crashing',
  'dying',
  'stalls',
  'stallsLate',
  'dyingInStream',
  'endsEarly',
  'malformedChunk',
  'contentNoText',
  'tooLongVllm',
  'unknownTool',
  'argumentsNoJson',
  'noUsage',
];

describe('a study against a model endpoint that misbehaves', () => {
  it('in every way now and then goes on, and its trials show what happened; nobody else gets the key, nothing is left', async () => {
    // Two good replies, then something else.
    const { ended, run, keys, mostAtOnce } = await study((turn) =>
      turn % 3 === 0 ? (ways[(turn / 3) % ways.length] ?? 'busy') : 'answering',
    );
    expect([0, 30], ended.stderr).toContain(ended.code);
    expect(journalOf(run).at(-1)?.type).toBe('study-ended');
    const errors = errorsOf(run);
    // What is worth repeating was repeated; what was passed on already, or would fail again, shows in the trial.
    for (const kind of ['stalled', 'brokenOff', 'malformed', 'contextTooLong'] as const)
      expect(Object.keys(errors)).toContain(`${modelFaults[kind]}: ${kind}`);
    const [main] = journalOf(run).flatMap((entry) => (entry.type === 'profiled' ? (entry.profile.models.main ?? []) : []));
    expect(main?.retriesPerRequest).toBeGreaterThan(0);
    for (const fault of ['malformed', 'badToolCall']) expect(Object.keys(main?.faultsPerRequest ?? {})).toContain(fault);
    expect(main?.limitMs).toBeDefined();
    expect(mostAtOnce).toBeLessThanOrEqual(4);
    expect(keys).toMatchObject({ poet: true, shout: false, limiter: false });
    const report = readFileSync(join(run, 'report.json'), 'utf8');
    expect(report).toContain('brokenOff');
    for (const text of [report, ended.stdout, ended.stderr, readFileSync(join(run, 'journal.ndjson'), 'utf8')])
      expect(text).not.toContain(key);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 90_000);

  // A study that finds nothing to measure goes on to the end of its budget, so these are long.
  const alone = [
    ['busy', 'rateLimited'],
    ['stalls', 'stalled'],
    ['tooLongVllm', 'contextTooLong'],
  ] as const;
  it.skipIf(process.env.DMAS_OPT_FULL !== '1').each(alone)(
    'by a %s reply to every call fails its trials, says %s, and ends',
    async (way, kind) => {
      const { ended, run } = await study(way, '{ retries: 0, stallTimeoutMs: 200 }');
      expect(ended.code, ended.stderr).toBe(12);
      expect(journalOf(run).at(-1)?.type).toBe('study-ended');
      const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as Report;
      expect(report.trials[0]).toMatchObject({ state: 'failed' });
      expect(Object.keys(errorsOf(run))).toContain(`${modelFaults[kind]}: ${kind}`);
      expect(processesOf(sandbox.folder)).toEqual([]);
    },
    120_000,
  );
});
