import { describe, expect, it } from 'vitest';
import { compareReplay, replayLog } from '../../../profiler/engine/compare.ts';
import { readRequestLog } from '../../../profiler/engine/request-log.ts';
import { readRunFacts } from '../../../profiler/engine/run-setup.ts';
import type { EngineArgs } from '../../../runtime/llm/engine/step-time.ts';
import { linearStepTime } from '../../../runtime/llm/engine/step-times.ts';
import { parseRivalSummary } from '../../bench/lib/rival-summary.ts';

const line = (over: object) =>
  JSON.stringify({
    request_id: 'r',
    input_toks: 10,
    output_toks: 3,
    arrival_time: 1000,
    queued_ts: 5,
    scheduled_ts: 5,
    first_token_ts: 6,
    last_token_ts: 7,
    ...over,
  });
const read = (...lines: string[]) => readRequestLog({ path: 'r.jsonl', text: lines.join('\n') });

const args: EngineArgs = {
  maxNumSeqs: 4,
  maxNumBatchedTokens: 64,
  blockSize: 16,
  kvBlocks: 100,
  prefixCaching: true,
  tensorParallelSize: 1,
  dataParallelSize: 1,
  expertParallel: false,
};

describe('request log', () => {
  it('puts two clocks onto one, the least delay between them taken as none', () => {
    const log = read(line({}), line({ arrival_time: 1000.2, queued_ts: 5.5, scheduled_ts: 5.6 }));
    expect(log.map(({ arrivalMs, queuedMs }) => [Math.round(arrivalMs), Math.round(queuedMs)])).toEqual([
      [0, 0],
      [200, 500],
    ]);
    // Without arrivals, when they were seen stands for them.
    expect(read(line({ arrival_time: undefined }))[0]).toMatchObject({ arrivalMs: 0, queuedMs: 0, firstTokenMs: 1000, lastTokenMs: 2000 });
  });

  it('names the line that is wrong', () => {
    expect(() => read(line({}), '{')).toThrow(/r.jsonl:2: not JSON/);
    expect(() => read(line({ queued_ts: null }))).toThrow(/r.jsonl:1: queued_ts is null/);
    expect(() => read(line({ first_token_ts: 4 }))).toThrow(/times out of order/);
    expect(() => read(line({ output_toks: 0 }))).toThrow(/whole numbers of at least 1/);
    expect(() => read('')).toThrow(/no requests/);
  });

  it('comes back without error when replayed on the engine that made it', () => {
    const stepTime = linearStepTime({ stepFixedMs: 4, prefillMsPerToken: 0.1, decodeMsPerSequence: 0.2, contextMsPerToken: 0 });
    const asked = Array.from({ length: 20 }, (_, index) =>
      line({
        input_toks: 20 + index,
        output_toks: 5 + index,
        arrival_time: index * 0.003,
        queued_ts: index * 0.003,
        scheduled_ts: index * 0.003,
      }),
    );
    const made = replayLog(read(...asked), args, stepTime);
    const again = asked.map((text, index) => {
      const { firstTokenMs, latencyMs } = made.requests[index] as (typeof made.requests)[number];
      const seen = index * 0.003;
      return JSON.stringify({
        ...JSON.parse(text),
        queued_ts: seen,
        first_token_ts: seen + firstTokenMs / 1000,
        last_token_ts: seen + latencyMs / 1000,
      });
    });
    const comparison = compareReplay(read(...again), made);
    expect(comparison.ttft.mean.errorPct).toBeCloseTo(0, 6);
    expect(comparison.tpot?.p99.errorPct).toBeCloseTo(0, 6);
    expect(comparison.latency.p95.errorPct).toBeCloseTo(0, 6);
    const slower = replayLog(read(...asked), args, { stepMs: (batch) => 1.1 * stepTime.stepMs(batch) });
    expect(compareReplay(read(...again), slower).tpot?.mean.errorPct).toBeGreaterThan(8);
  });
});

describe('run folder', () => {
  const config = { link_bw: 16, link_latency: 1000, nodes: [{ instances: [{ npu_mem: { mem_size: 24, mem_util: 0.9 } }] }] };
  const meta = { model: 'meta-llama/Llama-3.1-8B', engine_kwargs: { max_num_seqs: 64, max_num_batched_tokens: 2048 } };
  const facts = (metaOver: object, configOver: object = {}) =>
    readRunFacts(
      { path: 'meta.json', text: JSON.stringify({ ...meta, ...metaOver }) },
      { path: 'config.json', text: JSON.stringify({ ...config, ...configOver }) },
    );

  it('takes KV blocks as logged, less the null block, else from memory', () => {
    expect(facts({ kv_cache: { num_gpu_blocks: 2588, block_size: 16 } })).toMatchObject({ kvLogged: true, args: { kvBlocks: 2587 } });
    const { args: computed, kvLogged } = facts({});
    expect(kvLogged).toBe(false);
    // 24 GB × 0.9 less 16.06 GB of weights and about 1 GB of activations: some 6 GB, at 2 MB a block.
    expect(computed.kvBlocks).toBeGreaterThan(2500);
    expect(computed.kvBlocks).toBeLessThan(3300);
    expect(() => facts({}, { nodes: [{ instances: [{ npu_mem: { mem_size: 12, mem_util: 0.9 } }] }] })).toThrow(/does not fit/);
  });

  it('captures the sizes vLLM does by default, or those logged', () => {
    const { captureSizes } = facts({});
    expect(captureSizes.slice(0, 5)).toEqual([1, 2, 4, 8, 16]);
    expect(captureSizes.at(-1)).toBe(128);
    expect(facts({ resolved_config: { compilation_config: { cudagraph_capture_sizes: [4, 1, 2] } } }).captureSizes).toEqual([1, 2, 4]);
  });

  it('lets ranks of a model with experts step together, whole experts or slices', () => {
    const moe = { model: 'Qwen/Qwen3-30B-A3B-Instruct-2507', engine_kwargs: { data_parallel_size: 2, enable_expert_parallel: true } };
    const big = { nodes: [{ instances: [{ npu_mem: { mem_size: 96, mem_util: 0.9 } }] }] };
    expect(facts(moe, big)).toMatchObject({ wholeExperts: true, args: { dataParallelSize: 2, expertParallel: true } });
    expect(facts({ engine_kwargs: { data_parallel_size: 2 } }).args.expertParallel).toBe(false);
  });

  it('says what is missing', () => {
    expect(() => facts({ model: 'nobody/knows' })).toThrow(/shape of model "nobody\/knows" is not known/);
    expect(() => facts({ engine_kwargs: undefined })).toThrow(/meta.json: no engine_kwargs/);
    expect(() => facts({ engine_kwargs: { max_num_seqs: 0 } })).toThrow(/max_num_seqs is 0/);
    expect(() => facts({}, { nodes: [] })).toThrow(/npu_mem/);
  });

  it('reads a rival’s summary', () => {
    expect(
      parseRivalSummary('Metric   vLLM   Sim   Diff%\n---\nTTFT Mean     65456.6     65820.2     +0.6%\n\nTPOT P99   56.0  56.5  -0.9%\n'),
    ).toEqual([
      { metric: 'TTFT Mean', loggedMs: 65456.6, simulatedMs: 65820.2, errorPct: 0.6 },
      { metric: 'TPOT P99', loggedMs: 56, simulatedMs: 56.5, errorPct: -0.9 },
    ]);
  });
});
