import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const cli = ['--import', import.meta.resolve('tsx'), join(root, 'cli/main.ts')];
const run = (...words: string[]) =>
  promisify(execFile)(process.execPath, [...cli, ...words], { cwd: root, env: { ...process.env, NO_COLOR: '1' } }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );

/** A run of a model of experts on two ranks, as short as can be. */
async function writeRun(folder: string): Promise<void> {
  await mkdir(join(folder, 'profile'), { recursive: true });
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  await write(
    'meta.json',
    JSON.stringify({
      model: 'Qwen/Qwen3-30B-A3B',
      engine_kwargs: { data_parallel_size: 2, enable_expert_parallel: true, max_num_seqs: 8, max_num_batched_tokens: 256 },
      kv_cache: { num_gpu_blocks: 200, block_size: 16, enable_prefix_caching: true },
    }),
  );
  await write(
    'config.json',
    JSON.stringify({ link_bw: 16, link_latency: 1000, nodes: [{ instances: [{ npu_mem: { mem_size: 96, mem_util: 0.9 } }] }] }),
  );
  const attention = [0, 16, 256].flatMap((pc) =>
    [0, 1, 8].flatMap((n) =>
      pc + n === 0
        ? []
        : (pc === 0 ? [0] : [0, 512]).flatMap((kp) => (n === 0 ? [0] : [16, 1024]).map((kd) => `${pc},${kp},${n},${kd},${5 + n}`)),
    ),
  );
  await write('profile/tp1-attention.csv', `prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n${attention.join('\n')}\n`);
  await write('profile/tp1-dense.csv', 'layer,tokens,time_us\nqkv_proj,1,50\nqkv_proj,256,80\nlayernorm,1,2\nlayernorm,256,3\n');
  await write('profile/tp1-per_sequence.csv', 'layer,sequences,time_us\nlm_head,1,200\nlm_head,8,210\n');
  await write('profile/tp1-moe.csv', 'tokens,activated_experts,time_us\n1,8,40\n1,128,400\n256,8,60\n256,128,500\n');
  const lines = Array.from({ length: 12 }, (_, index) =>
    JSON.stringify({
      request_id: `r${index}`,
      input_toks: 40 + index,
      output_toks: 20,
      queued_ts: index * 0.02,
      scheduled_ts: index * 0.02,
      first_token_ts: index * 0.02 + 0.05,
      last_token_ts: index * 0.02 + 0.6,
    }),
  );
  await write('requests.jsonl', `${lines.join('\n')}\n`);
}

describe('dmas-opt llm replay', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-llm-'));
    await writeRun(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('replays a run folder and prints how far it is off', async () => {
    const { code, stdout } = await run('llm', 'replay', '--profile', join(folder, 'profile'), '--requests', join(folder, 'requests.jsonl'));
    expect(code).toBe(0);
    for (const name of ['TTFT mean', 'TTFT p99', 'TPOT p50', 'latency p95', 'tokens per s']) expect(stdout).toContain(name);
    expect(stdout).toContain('199 KV blocks per rank, as logged');
    expect(stdout).toContain('5.0 % is assumed (--cached-share)');
  }, 30_000);

  it('prints JSON, and takes a hardware profile with settings on the command line', async () => {
    const profile = ['--profile', 'generic-small', '--engine-args', 'maxNumSeqs=4,prefix_caching=false'];
    const { stdout } = await run('llm', 'replay', ...profile, '--requests', join(folder, 'requests.jsonl'), '--json');
    const result = JSON.parse(stdout) as {
      args: object;
      requests: number;
      evidence: string;
      assumedCachedShare: number;
      unqueued: { requests: number };
    };
    expect(result).toMatchObject({
      evidence: 'estimate',
      requests: 12,
      assumedCachedShare: 0,
      args: { maxNumSeqs: 4, prefixCaching: false },
    });
    expect(result.unqueued.requests).toBe(12);
  }, 30_000);

  it('names the place and the fix of what is wrong', async () => {
    const bad = join(folder, 'bad.jsonl');
    await writeFile(bad, '{"input_toks":1}\n');
    const log = await run('llm', 'replay', '--profile', join(folder, 'profile'), '--requests', bad);
    expect(log.code).not.toBe(0);
    expect(log.stderr).toMatch(/bad\.jsonl:1/);
    expect(log.stderr).toContain('output_toks is missing');
    const missing = await run(
      'llm',
      'replay',
      '--profile',
      'no-such',
      '--requests',
      join(folder, 'requests.jsonl'),
      '--engine-args',
      'maxNumSeqs=4',
    );
    expect(missing.stderr).toContain('there is no engine profile no-such');
    const words = await run(
      'llm',
      'replay',
      '--profile',
      'generic-small',
      '--requests',
      join(folder, 'requests.jsonl'),
      '--engine-args',
      'maxNumSeqs',
    );
    expect(words.stderr).toContain('is not name=value');
  }, 60_000);
});
