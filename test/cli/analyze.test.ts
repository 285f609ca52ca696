import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodes } from '../../compiler/contracts/index.ts';
import type { Analysis } from '../../reports/analysis.ts';
import { freePort as keptPort } from '../../runtime/targets/process/junction.ts';
import { cli, start } from '../faults/lib/command.ts';
import { createSandbox, type Sandbox } from '../faults/lib/sandbox.ts';
import { agent, chat, hop, otlpLines, request } from '../profiler/analyze/otlp-file.ts';

let sandbox: Sandbox;
let file: string;
const secret = 'a prompt that must never leave the file';
beforeAll(() => {
  sandbox = createSandbox();
  file = join(sandbox.folder, 'traces.jsonl');
  writeFileSync(file, lines());
});
afterAll(() => sandbox.remove());

const lines = () =>
  otlpLines(
    Array.from({ length: 20 }, (_, i) =>
      request(
        agent('planner', {
          at: 0,
          ms: 1000 + i,
          children: [
            { ...chat('planner', 5, 490), attributes: { ...chat('planner', 5, 490).attributes, 'gen_ai.input.messages': secret } },
            hop('planner', 500, agent('weather', { at: 501, ms: 20 }), 30, 500),
          ],
        }),
      ),
    ),
  );
/** None of the kernel's own, which a busy host would have given away before it is used. */
const freePort = () => keptPort('127.0.0.1');

describe('analyze', () => {
  it('prints the answer first and what to type next, and writes a page, a summary and the data', async () => {
    const { code, stdout, stderr } = await cli(sandbox, ['analyze', file, '--out', 'found', '--sampled', '10%']);
    expect(code, stderr).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(/^(Worth trying|Perhaps|Not worth it).*\(modelled\)$/);
    for (const part of [
      'planner',
      'weather',
      'hops between processes',
      'Put planner and weather in one process',
      'no price',
      'Not a matter of layout',
    ])
      expect(stdout).toContain(part);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`Next:    dmas-opt import ${file}`);
    const folder = join(sandbox.folder, 'found');
    const analysis = JSON.parse(readFileSync(join(folder, 'analysis.json'), 'utf8')) as Analysis;
    expect(analysis).toMatchObject({ schemaVersion: 1, provenance: 'modelled' });
    expect(analysis.source.sampledShare).toBe(0.1);
    expect(readFileSync(join(folder, 'analysis.md'), 'utf8')).toContain(analysis.verdict.sentence);
    for (const name of ['analysis.json', 'analysis.html', 'analysis.md'])
      expect(readFileSync(join(folder, name), 'utf8')).not.toContain(secret);
  });

  it('prints the same data as JSON, with prices from a scenario and from the command line', async () => {
    writeFileSync(join(sandbox.folder, 'prices.yaml'), 'workflow: ./w.ts\nprices: { vcpuHourUsd: 1, memoryGbHourUsd: 0, source: ours }\n');
    const args = ['analyze', file, '--json', '--out', 'json', '--prices', 'prices.yaml', '--model-price', 'gpt-test=2/8'];
    const { code, stdout, stderr } = await cli(sandbox, args);
    expect(code, stderr).toBe(0);
    expect(stderr).toBe('');
    const analysis = JSON.parse(stdout) as Analysis;
    const usd = Object.fromEntries(analysis.where.money.map(({ kind, usdPer1000 }) => [kind, usdPer1000]));
    // 1000 tokens in and 100 out per request.
    expect(usd.tokens?.low).toBeCloseTo(1000 * ((1000 * 2 + 100 * 8) / 1e6), 6);
    expect(usd.agents?.high).toBeCloseTo((2 * 1) / (analysis.source.tracedPerSecond * 3.6), 6);
    expect(analysis.assumptions.find(({ what }) => what === 'Price of a process')?.source).toBe('ours');
  });

  it('is the same for the same traces and seed', async () => {
    const once = async () => (await cli(sandbox, ['analyze', file, '--json', '--out', 'twice'])).stdout;
    expect(await once()).toBe(await once());
  });

  it('listens for OTLP for a while', async () => {
    const [http, grpc] = [await freePort(), await freePort()];
    const args = [
      'analyze',
      'otlp',
      '--for',
      '6s',
      '--http-port',
      String(http),
      '--grpc-port',
      String(grpc),
      '--out',
      'live',
      '--progress',
      'plain',
    ];
    const command = start(sandbox, args);
    expect(await command.says('listening for OTLP', 20_000)).toBe(true);
    const post = async (body: string) =>
      fetch(`http://127.0.0.1:${http}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    let answered = 0;
    for (let attempt = 0; attempt < 40 && answered === 0; attempt++)
      answered = await post(lines().split('\n')[0] ?? '').then(
        ({ status }) => status,
        () => new Promise<number>((resolve) => setTimeout(() => resolve(0), 100)),
      );
    expect(answered).toBe(200);
    for (const line of lines().trim().split('\n').slice(1)) await post(line);
    const { code, stdout, stderr } = await command.finished;
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('20 traces, 120 spans');
    expect(stdout).toContain('Next:    dmas-opt import otlp');
  });

  it('ends the listening at Ctrl-C and analyzes what came in', async () => {
    const [http, grpc] = [await freePort(), await freePort()];
    const command = start(sandbox, [
      'analyze',
      'otlp',
      '--http-port',
      String(http),
      '--grpc-port',
      String(grpc),
      '--out',
      'stopped',
      '--progress',
      'plain',
    ]);
    expect(await command.says('listening for OTLP', 20_000)).toBe(true);
    for (let attempt = 0; attempt < 40; attempt++) {
      const headers = { 'content-type': 'application/json' };
      const body = lines().split('\n')[0] ?? '';
      const sent = await fetch(`http://127.0.0.1:${http}/v1/traces`, { method: 'POST', headers, body }).catch(() => null);
      if (sent) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    command.child.kill('SIGINT');
    const { code, stdout, stderr } = await command.finished;
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('1 trace, 6 spans');
  });
});

describe('input that cannot be analyzed', () => {
  it.each([
    ['a file that is not there', ['absent.json'], /absent\.json/],
    ['a file without spans', ['empty.json'], /no span could be read/],
    ['otlp beside files', ['otlp', 'traces.jsonl'], /stands alone/],
    ['a price that is none', ['traces.jsonl', '--model-price', 'gpt=cheap'], /is no model price/],
    ['a share that is none', ['traces.jsonl', '--sampled', '200%'], /share such as 10%/],
    ['a scenario that is none', ['traces.jsonl', '--prices', 'absent.yaml'], /absent\.yaml/],
  ])('%s is told with exit code 10, and nothing is written', async (_what, args, says) => {
    writeFileSync(join(sandbox.folder, 'empty.json'), '{"resourceSpans":[]}');
    const { code, stdout, stderr } = await cli(sandbox, ['analyze', ...args, '--out', 'none']);
    expect(code, stderr).toBe(exitCodes.invalidInput);
    expect(stdout).toBe('');
    expect(stderr).toMatch(says);
    expect(existsSync(join(sandbox.folder, 'none'))).toBe(false);
  });

  it('a folder that cannot be written is told with its remedy', async () => {
    writeFileSync(join(sandbox.folder, 'taken'), '');
    const { code, stderr } = await cli(sandbox, ['analyze', file, '--out', 'taken/here']);
    expect(code).toBe(exitCodes.environmentNotReady);
    expect(stderr).toContain('--out');
  });
});
