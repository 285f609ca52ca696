import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createProgram } from '../../cli/program.ts';
import { reportFailure } from '../../cli/render/failure.ts';

/** What is wrong, the scenario, the code it must be answered with, the place, and a word of the way out. */
const model = 'models: { main: { backend: simulated } }\n';
const cases: readonly [what: string, yaml: string, code: string, place: string, wayOut: string][] = [
  ['an unclosed bracket', 'workflow: ./workflow.ts\nseed: [1\n', 'DMAS_CFG_SYNTAX', '3:1', 'sequence'],
  ['a tab for indentation', 'workflow: ./workflow.ts\nsearch:\n\tmaxUnits: 2\n', 'DMAS_CFG_SYNTAX', '3:1', 'Tabs'],
  ['a key twice', 'workflow: ./workflow.ts\nseed: 1\nseed: 2\n', 'DMAS_CFG_SYNTAX', '3:1', 'unique'],
  ['a list instead of a mapping', '- workflow: ./workflow.ts\n', 'DMAS_CFG_SYNTAX', '1:1', 'mapping'],
  ['an empty file', '', 'DMAS_CFG_SYNTAX', '1:1', 'mapping'],
  ['no workflow', 'seed: 1\n', 'DMAS_CFG_MISSING_KEY', '1:1', 'add workflow'],
  ['a misspelt key', `workflow: ./workflow.ts\n${model}serach: {}\n`, 'DMAS_CFG_UNKNOWN_KEY', '3:1', 'did you mean "search"?'],
  ['a number for a text', 'workflow: 7\n', 'DMAS_CFG_INVALID_VALUE', '1:11', 'expected string'],
  ['a bad duration', `workflow: ./workflow.ts\n${model}budget: { time: soon }\n`, 'DMAS_CFG_INVALID_VALUE', '3:17', 'such as 500ms'],
  [
    'an unknown arrival process',
    `workflow: ./workflow.ts\n${model}workload: { classes: { a: { arrivals: { process: uniform } } } }\n`,
    'DMAS_CFG_INVALID_VALUE',
    '3:50',
    'allowed: closed',
  ],
  [
    'an unknown metric',
    `workflow: ./workflow.ts\n${model}objective: { minimize: speed }\n`,
    'DMAS_CFG_INVALID_VALUE',
    '3:24',
    'latency.p95',
  ],
  [
    'a missing variable',
    'workflow: ./workflow.ts\nmodels: { main: { url: "${env:NO_SUCH_VARIABLE}" } }\n',
    'DMAS_CFG_MISSING_ENV',
    '2:24',
    'set NO_SUCH_VARIABLE',
  ],
  ['a workflow that is not there', `workflow: ./flow.ts\n${model}`, 'DMAS_FILE_UNREADABLE', '1:11', 'flow.ts does not exist'],
  ['a workflow export that is not there', `workflow: ./workflow.ts#main\n${model}`, 'DMAS_WF_NO_WORKFLOW', '1:11', 'allowed: default'],
  ['an unbound model', 'workflow: ./workflow.ts\n', 'DMAS_WF_UNBOUND_MODEL', '', 'add models: { main'],
  [
    'an unknown agent',
    `workflow: ./workflow.ts\n${model}search:\n  apart:\n    - [travle, weather]\n`,
    'DMAS_CFG_UNKNOWN_AGENT',
    '5:8',
    'did you mean "travel"?',
  ],
  [
    'an unknown protocol',
    `workflow: ./workflow.ts\n${model}baseline:\n  protocol: grcp\n`,
    'DMAS_CFG_UNKNOWN_PROTOCOL',
    '4:13',
    'did you mean "grpc"?',
  ],
  ['an unknown target', `workflow: ./workflow.ts\n${model}target: proces\n`, 'DMAS_CFG_UNKNOWN_TARGET', '3:9', 'did you mean "process"?'],
  [
    'together and apart at once',
    `workflow: ./workflow.ts\n${model}search: { together: [[travel, weather]], apart: [[travel, weather]] }\n`,
    'DMAS_CFG_CONTRADICTION',
    '3:',
    'remove one',
  ],
  [
    'a limit without a number',
    `workflow: ./workflow.ts\n${model}objective: { slo: [{ metric: latency.p95 }] }\n`,
    'DMAS_CFG_CONTRADICTION',
    '3:',
    'add max:',
  ],
  [
    'an agent in two units',
    `workflow: ./workflow.ts\n${model}baseline: { layout: [[travel, weather], [weather]] }\n`,
    'DMAS_CFG_CONTRADICTION',
    '3:42',
    'name each agent once',
  ],
  [
    'inputs that are not JSON',
    `workflow: ./workflow.ts\n${model}workload: { inputs: ./scenario.yaml }\n`,
    'DMAS_CFG_INVALID_VALUE',
    '1:1',
    'not JSON',
  ],
  [
    'a limit the target cannot enforce',
    `workflow: ./workflow.ts\n${model}search: { resources: { travel: [{ vcpu: 1 }, { vcpu: 2 }] } }\n`,
    'DMAS_CFG_UNENFORCEABLE',
    '3:',
    'target',
  ],
];

describe('a broken scenario', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-opt-broken-'));
    await cp(join(import.meta.dirname, '../../scenarios/travel-planner'), folder, { recursive: true });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(cases)(
    'with %s is answered with place and fix, exit code 10, and nothing is started',
    async (_what, yaml, code, place, wayOut) => {
      const file = join(folder, 'scenario.yaml');
      await writeFile(file, yaml);
      const told: string[] = [];
      const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean(told.push(String(text))));
      let exitCode = 0;
      try {
        await createProgram((value) => {
          exitCode = value;
        }).parseAsync(['node', 'dmas-opt', 'run', file, '--runs', join(folder, 'runs'), '--progress', 'quiet']);
      } catch (error) {
        exitCode = reportFailure(error);
      } finally {
        stderr.mockRestore();
      }
      const text = stripVTControlCharacters(told.join(''));
      expect(text).toContain(code);
      expect(text).toContain(place);
      expect(text).toContain(wayOut);
      expect(exitCode).toBe(10);
      expect(await readdir(folder)).not.toContain('runs');
    },
  );
});
