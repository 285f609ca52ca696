import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodes } from '../../compiler/contracts/index.ts';
import type { HardwareProfile } from '../../runtime/llm/engine/hardware-profile.ts';
import { engineOf } from '../../runtime/llm/engine/options.ts';
import { createModelServer } from '../../runtime/llm/server/model-server.ts';
import { cli } from '../faults/lib/command.ts';
import { createSandbox, type Sandbox } from '../faults/lib/sandbox.ts';
import { knownArgs, linesOf, logOf } from '../profiler/engine/logs.ts';
import { timingsOf } from '../profiler/engine/timings.ts';

let folder: string;
let sandbox: Sandbox;
const dmasOpt = (...args: string[]) => cli(sandbox, args);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-fit-'));
  sandbox = createSandbox();
});
afterAll(async () => {
  sandbox.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('dmas-opt llm fit', () => {
  it('turns a folder of operator timings into a profile an engine runs on', async () => {
    const at = join(folder, 'run', 'profile');
    await mkdir(at, { recursive: true });
    const { attention, dense, perSequence } = timingsOf();
    await writeFile(join(at, 'tp1-attention.csv'), attention);
    await writeFile(join(at, 'tp1-dense.csv'), dense);
    await writeFile(join(at, 'tp1-per_sequence.csv'), perSequence);
    const out = join(folder, 'timings.json');
    const { code, stdout } = await dmasOpt('llm', 'fit', join(folder, 'run'), '--model', 'Llama-3.2-1B', '--gpu', 'L4', '-o', out);
    expect(stdout).toMatch(/Fit error over \d+ batches: median/);
    expect(stdout).toContain('Not determined:');
    expect(code).toBe(0);
    const profile = JSON.parse(await readFile(out, 'utf8')) as HardwareProfile;
    expect(profile.gpu).toBe('l4');
    expect(engineOf({ profile }).evidence).toBe('measured');
  });

  it('recovers a profile from a request log, and prints it as JSON', async () => {
    const engine = { fixedMs: 10, perPromptTokenMs: 0.05, perSequenceMs: 0.2, perContextTokenMs: 0.0003 };
    const log = logOf(engine, knownArgs, { requests: 60, perSecond: 3, tokensIn: [20, 900], tokensOut: [4, 80], seed: 2 });
    const file = join(folder, 'requests.jsonl');
    await writeFile(file, linesOf(log));
    const args = 'max-num-seqs=64,max_num_batched_tokens=1024,asyncScheduling=false,enable-prefix-caching=false';
    const { code, stdout } = await dmasOpt('llm', 'fit', file, '--engine-args', args, '--json');
    expect(code).toBe(0);
    const profile = JSON.parse(stdout) as HardwareProfile;
    expect(profile.fit?.medianErrorShare).toBeLessThan(0.02);
    expect(profile.stepsByTensorParallel['1']?.dense.ms[0]).toBeGreaterThan(8);
    expect(profile.stepsByTensorParallel['1']?.dense.ms[0]).toBeLessThan(12);
  });

  it('probes an endpoint', async () => {
    const model = createModelServer('model-main', { model: 'main', tokensPerChunk: 1 });
    await new Promise<void>((resolve) => model.server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(model.server.address() as AddressInfo).port}/v1`;
    try {
      const short = ['--max-prompt', '64', '--max-reply', '8', '--max-concurrency', '2', '--repeats', '1'];
      const { code, stdout } = await dmasOpt('llm', 'fit', url, '--model', 'main', ...short);
      expect(stdout).toContain('Outside the engine:');
      expect(stdout).toContain('KV cache: the probing run does not fill it');
      expect(code).toBe(0);
    } finally {
      await model.close(0);
    }
  });

  it('says where its input is wrong and what to give in its place', async () => {
    const nothing = await dmasOpt('llm', 'fit', join(folder, 'nowhere'));
    expect(nothing.stderr).toContain('does not exist');
    expect(nothing.code).toBe(exitCodes.invalidInput);
    const garbage = join(folder, 'garbage.jsonl');
    await writeFile(garbage, 'queued,scheduled\n1,2\n');
    const log = await dmasOpt('llm', 'fit', garbage);
    expect(log.stderr).toMatch(/garbage\.jsonl:1/);
    expect(log.stderr).toContain('fix: Each line is an object');
    const empty = join(folder, 'empty');
    await mkdir(empty);
    expect((await dmasOpt('llm', 'fit', empty)).stderr).toContain('tp<N>-dense.csv');
    await writeFile(
      join(folder, 'two.jsonl'),
      linesOf(
        logOf({ fixedMs: 1, perPromptTokenMs: 1, perSequenceMs: 1, perContextTokenMs: 1 }, knownArgs, {
          requests: 3,
          perSecond: 1,
          tokensIn: [1, 9],
          tokensOut: [1, 9],
          seed: 1,
        }),
      ),
    );
    const word = await dmasOpt('llm', 'fit', join(folder, 'two.jsonl'), '--engine-args', 'max-num-sqs=4');
    expect(word.stderr).toContain('max_num_seqs');
  });

  it('says what an endpoint answered, and that a model is needed', async () => {
    const server = createServer((_, response) => response.writeHead(403).end('{"error":{"message":"not you"}}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    try {
      expect((await dmasOpt('llm', 'fit', url, '--model', 'main')).stderr).toMatch(/403.*not you/);
      expect((await dmasOpt('llm', 'fit', url)).stderr).toContain('--model');
      expect((await dmasOpt('llm', 'fit', url, '--model', 'main', '--key-env', 'NO_SUCH_KEY')).stderr).toContain('NO_SUCH_KEY is not set');
    } finally {
      server.close();
    }
  });
});
