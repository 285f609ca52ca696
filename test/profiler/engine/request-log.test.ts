import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmasError } from '../../../compiler/contracts/index.ts';
import { compareReplay, replayLog } from '../../../profiler/engine/compare.ts';
import { readRequestLog } from '../../../profiler/engine/request-log.ts';
import { readRunFacts } from '../../../profiler/engine/run-setup.ts';
import type { EngineArgs } from '../../../runtime/llm/engine/step-time.ts';
import { linearStepTime } from '../../../runtime/llm/engine/step-times.ts';
import { parseRivalSummary } from '../../bench/lib/rival-summary.ts';
import { knownArgs, linesOf, logOf } from './logs.ts';

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

const problemsOf = (text: string) => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof DmasError) return error.problems;
    throw error;
  }
  return [];
};

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

  it('is read in milliseconds from the first request on', () => {
    const engine = { fixedMs: 5, perPromptTokenMs: 0.05, perSequenceMs: 0.1, perContextTokenMs: 0.0001 };
    const log = logOf(engine, knownArgs, { requests: 10, perSecond: 5, tokensIn: [5, 50], tokensOut: [2, 20], seed: 1 });
    const found = read(linesOf(log));
    expect(found).toHaveLength(10);
    found.forEach((request, index) => {
      expect(request.firstTokenMs).toBeCloseTo((log[index]?.firstTokenMs ?? 0) - (log[0]?.queuedMs ?? 0), 3);
      expect(request.tokensOut).toBe(log[index]?.tokensOut);
    });
  });

  it.each([
    ['no JSON', '{"input_toks": 4', 'the line is no JSON'],
    ['no object', '[1, 2]', 'no JSON object'],
    ['nothing', 'null', 'no JSON object'],
    ['a column that is missing', line({ queued_ts: null }), 'queued_ts is missing'],
    ['a column that is no number', line({ last_token_ts: 'late' }), 'last_token_ts is no number: "late"'],
    ['no tokens', line({ output_toks: 0 }), 'output_toks is 0, not a whole number of at least 1'],
    ['times out of order', line({ first_token_ts: 4 }), 'first_token_ts is before scheduled_ts'],
    ['an arrival that is no time', line({ arrival_time: 'noon' }), 'arrival_time is no number'],
    ['more cached than there was', line({ cached_toks: 11 }), 'cached_toks is 11'],
  ])('names line and fix of %s', (_, wrong, said) => {
    const problems = problemsOf(`${line({})}\n${wrong}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(said);
    expect(problems[0]?.at).toEqual({ file: 'r.jsonl', line: 2 });
    expect(problems[0]?.fix).toBeTruthy();
  });

  it('tells three wrong lines at once, and a log of none', () => {
    expect(problemsOf(Array.from({ length: 9 }, () => '{}').join('\n')).map(({ at }) => at?.line)).toEqual([1, 2, 3]);
    expect(() => read('')).toThrow(/no requests/);
  });

  it('throws nothing but its own error, whatever the file holds', () => {
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.json()).map((lines) => lines.join('\n')),
    );
    fc.assert(
      fc.property(anything, (text) => {
        expect(problemsOf(text).length).toBeGreaterThan(0);
      }),
      { seed: 1 },
    );
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
