import type { Json } from '../../contracts/index.ts';

/**
 * Options of a pool → arguments of vLLM’s engine as Ray Serve LLM hands them on (`engine_kwargs`). Ray splits off those of
 * vLLM’s front end (tool calls) by itself; `model` and `served_model_name` it forbids. Names are the fields of
 * `AsyncEngineArgs` and `FrontendArgs` in vLLM 0.19.
 */
const engineArguments: { readonly [option: string]: string } = {
  tensorParallelSize: 'tensor_parallel_size',
  maxNumSeqs: 'max_num_seqs',
  maxNumBatchedTokens: 'max_num_batched_tokens',
  maxModelLen: 'max_model_len',
  blockSize: 'block_size',
  kvBlocks: 'num_gpu_blocks_override',
  gpuMemoryUtilization: 'gpu_memory_utilization',
  prefixCaching: 'enable_prefix_caching',
  asyncScheduling: 'async_scheduling',
  dtype: 'dtype',
  quantization: 'quantization',
  kvCacheDtype: 'kv_cache_dtype',
  toolCallParser: 'tool_call_parser',
  enforceEager: 'enforce_eager',
  trustRemoteCode: 'trust_remote_code',
};

/** In the order of the table. Zero and empty stand for: vLLM decides. */
export function engineArgumentsOf(options: { readonly [option: string]: Json }): { readonly [argument: string]: Json } {
  const given = Object.entries(engineArguments).flatMap(([option, argument]): [string, Json][] => {
    const value = options[option];
    return value === undefined || value === '' || value === 0 ? [] : [[argument, value]];
  });
  const tools: [string, Json][] = given.some(([argument]) => argument === 'tool_call_parser') ? [['enable_auto_tool_choice', true]] : [];
  return Object.fromEntries([...given, ...tools]);
}

/**
 * Our name of a GPU → `accelerator_type`, as `ray.util.accelerators` of Ray 2.60 knows it. Nodes carry the label A100 alone,
 * whatever their memory, and GeForce cards have none.
 */
const acceleratorTypes: { readonly [gpu: string]: string } = {
  rtxpro6000: 'RTX-PRO-6000',
  l4: 'L4',
  l40s: 'L40S',
  a10g: 'A10G',
  'a100-40gb': 'A100',
  'a100-80gb': 'A100',
  h100: 'H100',
  h200: 'H200',
  b200: 'B200',
};

export const acceleratorTypeOf = (gpu: string): string | undefined => acceleratorTypes[gpu];

/**
 * How calls are spread over the replicas of a pool → Ray’s class for it. The least busy of two is what Ray does by itself.
 */
export const routerClasses: { readonly [router: string]: string } = {
  'round-robin': 'ray.serve.experimental.round_robin_router.RoundRobinRouter',
  'prefix-affinity': 'ray.serve.llm.request_router.PrefixCacheAffinityRouter',
};
