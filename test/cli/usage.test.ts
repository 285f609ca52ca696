import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { errorCatalogue, exitCodes } from '../../compiler/contracts/index.ts';
import { cli, scenarioFile } from '../faults/lib/command.ts';
import { createSandbox, type Sandbox } from '../faults/lib/sandbox.ts';

const root = join(import.meta.dirname, '..', '..');
const examples = ['coding-agent', 'document-pipeline', 'group-chat', 'mixed-load', 'support-desk', 'travel-planner', 'weather-news'];
const example = (name: string) => join(root, 'scenarios', name, 'scenario.yaml');

let sandbox: Sandbox;
beforeAll(() => {
  sandbox = createSandbox();
});
afterAll(() => sandbox.remove());

describe('help', () => {
  it('shows every command, examples and the exit codes', async () => {
    const { code, stdout } = await cli(sandbox, ['--help']);
    expect(code).toBe(0);
    for (const command of 'init validate compile plan run resume deploy trial report list show doctor schema explain'.split(' '))
      expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(stdout).toContain('Examples:');
    for (const value of Object.values(exitCodes)) expect(stdout).toMatch(new RegExp(`\\b${value} `));
    expect((await cli(sandbox, ['run', '--help'])).stdout).toContain('--max-time <duration>');
    expect((await cli(sandbox, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('a command line that is not valid', () => {
  it.each([
    [['nonsense']],
    [['run']],
    [['run', scenarioFile, '--seed', 'abc']],
    [['run', scenarioFile, '--seed', '-1']],
    [['run', scenarioFile, '--max-time', 'soon']],
    [['run', scenarioFile, '--max-trials', '0']],
    [['run', scenarioFile, '--max-cost', 'much']],
    [['run', scenarioFile, '--progress', 'loud']],
    [['run', scenarioFile, '--target', 'moon']],
    [['run', 'absent.yaml']],
    [['deploy', scenarioFile, '--port', 'http']],
    [['deploy', scenarioFile, '--layout', 'absent.json']],
    [['init', 'app', '--example', 'weather']],
    [['show', 'no-such-run']],
    [['resume']],
    [['report', '--format', 'pdf']],
    [['explain', 'DMAS_CFG_SYNTAKS']],
  ])('%j is told on standard error with exit code 10', async (args) => {
    const ended = await cli(sandbox, args);
    expect(ended.code, ended.stderr).toBe(exitCodes.invalidInput);
    expect(ended.stdout).toBe('');
    expect(ended.stderr.length).toBeGreaterThan(10);
    expect(ended.stderr).not.toContain('unexpectedly');
    expect(existsSync(sandbox.runs) ? readdirSync(sandbox.runs) : []).toEqual([]);
  });
});

describe('commands that start nothing', () => {
  it('schema prints a JSON Schema that is valid and takes every example', async () => {
    const { code, stdout } = await cli(sandbox, ['schema']);
    expect(code).toBe(0);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const accepts = ajv.compile(JSON.parse(stdout));
    for (const name of examples)
      expect(accepts(parse(readFileSync(example(name), 'utf8'))), `${name}: ${ajv.errorsText(accepts.errors)}`).toBe(true);
    expect(accepts({ workflow: './workflow.ts', targett: 'process' })).toBe(false);
    expect(accepts({ name: 'no-workflow' })).toBe(false);
  });

  it.each(examples)('validate and plan understand %s', async (name) => {
    const validated = await cli(sandbox, ['validate', example(name)]);
    expect(validated.code, validated.stderr).toBe(0);
    expect(validated.stdout).toContain('is valid');
    const planned = await cli(sandbox, ['plan', example(name), '--json']);
    expect(planned.code, planned.stderr).toBe(0);
    const { study } = JSON.parse(planned.stdout) as { study: { blocks: number; secondsLow: number; secondsHigh: number; layouts: string } };
    expect(study.blocks).toBeGreaterThan(0);
    expect(study.secondsHigh).toBeGreaterThan(study.secondsLow);
    expect(Number(study.layouts)).toBeGreaterThan(1);
  });

  it('plan shows both layouts, the changes, protocols, time and money; --detailed-exitcode tells of a difference', async () => {
    const shown = await cli(sandbox, ['plan', scenarioFile, '--detailed-exitcode']);
    expect(shown.code, shown.stderr).toBe(exitCodes.differences);
    for (const text of ['Baseline', 'greet', 'shout', 'http-json', 'Changes to all-in-one', 'blocks', 'capped at', 'Model tokens'])
      expect(shown.stdout).toContain(text);
    expect((await cli(sandbox, ['plan', scenarioFile])).code).toBe(0);
    expect((await cli(sandbox, ['plan', scenarioFile, '--layout', 'baseline', '--detailed-exitcode'])).code).toBe(0);
  });

  it('explain knows every error code', async () => {
    for (const code of Object.keys(errorCatalogue).slice(0, 3)) {
      const { stdout } = await cli(sandbox, ['explain', code.toLowerCase()]);
      expect(stdout).toContain(code);
      expect(stdout).toContain(errorCatalogue[code as keyof typeof errorCatalogue].title);
    }
    expect((await cli(sandbox, ['explain', 'DMAS_CFG_SYNTAKS'])).stderr).toContain('did you mean "DMAS_CFG_SYNTAX"?');
  });

  it('init writes a scenario that is valid, and overwrites nothing unasked', async () => {
    const folder = join(sandbox.folder, 'app');
    expect((await cli(sandbox, ['init', folder])).code).toBe(0);
    const again = await cli(sandbox, ['init', folder]);
    expect(again.code).toBe(10);
    expect(again.stderr).toContain('--force');
    expect((await cli(sandbox, ['init', folder, '--force'])).code).toBe(0);
    expect(readFileSync(join(folder, 'scenario.yaml'), 'utf8')).toMatch(/^# yaml-language-server: \$schema=.*scenario\.schema\.json$/m);
  });

  it('list of no runs says so', async () => {
    const none = await cli(sandbox, ['list']);
    expect(none).toMatchObject({ code: 0, stdout: expect.stringContaining('No runs') });
    expect(JSON.parse((await cli(sandbox, ['list', '--json'])).stdout)).toEqual([]);
  });

  it('doctor checks this machine, and a target that is wanted but not there is exit code 11', async () => {
    const { code, stdout } = await cli(sandbox, ['doctor', scenarioFile, '--json']);
    expect(code).toBe(0);
    const checks = JSON.parse(stdout) as { what: string; state: string }[];
    expect(checks).toContainEqual(expect.objectContaining({ what: 'target process', state: 'ok' }));
    expect(checks).toContainEqual(expect.objectContaining({ what: 'data sent anywhere', state: 'ok' }));

    const folder = join(sandbox.folder, 'docker');
    mkdirSync(folder);
    const file = join(folder, 'scenario.yaml');
    writeFileSync(
      file,
      readFileSync(scenarioFile, 'utf8')
        .replace('./workflow.ts', join(scenarioFile, '..', 'workflow.ts'))
        .concat('target: docker\n'),
    );
    const nowhere = { environment: { DOCKER_HOST: 'unix:///nowhere/docker.sock' } };
    const doctor = await cli(sandbox, ['doctor', file], nowhere);
    expect(doctor.code, doctor.stdout).toBe(exitCodes.environmentNotReady);
    const run = await cli(sandbox, ['run', file], nowhere);
    expect(run.code, run.stderr).toBe(exitCodes.environmentNotReady);
    expect(run.stderr).toContain('DMAS_ENV_TARGET');
  });
});
