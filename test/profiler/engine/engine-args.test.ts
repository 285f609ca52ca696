import { describe, expect, it } from 'vitest';
import { DmasError } from '../../../compiler/contracts/index.ts';
import { blocksSeen, completeArgs, readEngineMeta, readEngineWords } from '../../../profiler/engine/engine-args.ts';

const problemsOf = (read: () => unknown) => {
  try {
    read();
  } catch (error) {
    if (error instanceof DmasError) return error.problems;
    throw error;
  }
  return [];
};
const meta = (fields: { readonly [name: string]: unknown }) => readEngineMeta({ path: 'meta.json' }, fields);

describe('engine arguments on the command line', () => {
  it('are taken in our words and in vLLM’s, with dashes or underscores', () => {
    const same = { maxNumSeqs: 4, prefixCaching: false };
    for (const text of [
      'maxNumSeqs=4,prefixCaching=false',
      'max_num_seqs=4, enable_prefix_caching=false',
      '--max-num-seqs=4,prefix-caching=false',
    ])
      expect(readEngineWords(text)).toEqual(same);
  });

  it('count blocks without the one vLLM keeps aside', () => {
    expect(readEngineWords('kvBlocks=100')).toEqual({ kvBlocks: 100 });
    expect(readEngineWords('num_gpu_blocks=100')).toEqual({ kvBlocks: 99 });
  });

  it('come back with the other names that are allowed beside them', () => {
    expect(readEngineWords('gpu=h100,stepFixedMs=2,blockSize=8', ['gpu', 'stepFixedMs'])).toEqual({
      gpu: 'h100',
      stepFixedMs: 2,
      blockSize: 8,
    });
    expect(problemsOf(() => readEngineWords('gpu=h100'))).toHaveLength(1);
  });

  it('are all told at once where they are wrong', () => {
    const problems = problemsOf(() => readEngineWords('max-num-sqs=4,blockSize,maxNumSeqs=many,prefixCaching=1'));
    expect(problems.map(({ message }) => message.replace('--engine-args: ', ''))).toEqual([
      'there is no engine argument max-num-sqs',
      '"blockSize" is not name=value',
      'maxNumSeqs is "many"',
      'prefixCaching is "1"',
    ]);
    expect(problems[0]?.didYouMean).toBe('max_num_seqs');
    expect(problems.slice(1).every(({ fix }) => fix !== undefined)).toBe(true);
  });
});

describe('engine arguments of a run', () => {
  it('are what was asked for, else what was resolved and logged', () => {
    const given = meta({
      engine_kwargs: { max_num_seqs: 64, block_size: null },
      resolved_config: { scheduler_config: { max_num_seqs: 32, max_num_batched_tokens: 512, async_scheduling: false } },
      kv_cache: { num_gpu_blocks: 2588, block_size: 32, enable_prefix_caching: false },
    });
    expect(given).toEqual({
      maxNumSeqs: 64,
      maxNumBatchedTokens: 512,
      asyncScheduling: false,
      kvBlocks: 2587,
      blockSize: 32,
      prefixCaching: false,
    });
    // The engine may have turned off what was asked for.
    expect(meta({ engine_kwargs: { enable_prefix_caching: true }, kv_cache: { enable_prefix_caching: false } }).prefixCaching).toBe(false);
  });

  it('name the file and every value that cannot be', () => {
    const problems = problemsOf(() => meta({ max_num_seqs: 0, kv_cache: { enable_prefix_caching: 'yes' } }));
    expect(problems.map(({ message }) => message)).toEqual([
      'meta.json: kv_cache.enable_prefix_caching is "yes"',
      'meta.json: max_num_seqs is 0',
    ]);
  });
});

describe('engine arguments that are not given', () => {
  it('are vLLM’s, and blocks are computed from the rest', () => {
    const args = completeArgs({ maxNumSeqs: 4000 }, ({ blockSize }) => 10 * blockSize, 'DMAS_CLI_USAGE');
    expect(args).toMatchObject({ maxNumSeqs: 4000, maxNumBatchedTokens: 4000, blockSize: 16, kvBlocks: 160, prefixCaching: true });
    expect(problemsOf(() => completeArgs({ maxNumBatchedTokens: 16 }, () => 1, 'DMAS_CLI_USAGE'))[0]?.message).toContain(
      'at least maxNumSeqs',
    );
  });

  it('are blocks enough for the busiest moment of a log', () => {
    const request = (scheduledMs: number, lastTokenMs: number, tokensIn: number) => ({
      tokensIn,
      tokensOut: 8,
      queuedMs: 0,
      scheduledMs,
      firstTokenMs: scheduledMs,
      lastTokenMs,
    });
    expect(blocksSeen([request(0, 10, 8), request(5, 20, 24), request(15, 30, 8)], 16)).toBe(3);
    expect(blocksSeen([request(0, 10, 8), request(11, 20, 24)], 16)).toBe(2);
  });
});
