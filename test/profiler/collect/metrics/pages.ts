/** Pages as vLLM, llama.cpp and a DCGM exporter write them; numbers are made up. */

export interface EngineSketch {
  readonly running?: number;
  readonly waiting?: number;
  readonly kvUse?: number;
  readonly tokensIn?: number;
  readonly tokensCached?: number;
  readonly tokensOut?: number;
  readonly preemptions?: number;
  /** Requests whose first token came within 0.1 s, within 1 s, and later; the sum in seconds. */
  readonly firstToken?: { readonly counts: readonly [number, number, number]; readonly sum: number };
}

interface PageSketch {
  readonly engines: readonly EngineSketch[];
  readonly model?: string;
  /** Names of a release before the caches of all devices got one name. */
  readonly old?: boolean;
}

export function vllmPage({ engines, model = 'm', old = false }: PageSketch): string {
  const kv = old ? 'gpu_cache_usage_perc' : 'kv_cache_usage_perc';
  const hits = old ? 'gpu_prefix_cache_hits_total' : 'prefix_cache_hits_total';
  const family = (name: string, type: string, value: (engine: EngineSketch) => number) =>
    [
      `# HELP vllm:${name} Some words with "quotes" and a \\\\ in them.`,
      `# TYPE vllm:${name} ${type}`,
      ...engines.map((engine, index) => `vllm:${name}{engine="${index}",model_name="${model}"} ${value(engine)}`),
    ].join('\n');
  const histogram = engines.map(({ firstToken = { counts: [0, 0, 0], sum: 0 } }, index) => {
    const labels = `engine="${index}",model_name="${model}"`;
    const [fast, slow, late] = firstToken.counts;
    return [
      `vllm:time_to_first_token_seconds_bucket{${labels},le="0.1"} ${fast}.0`,
      `vllm:time_to_first_token_seconds_bucket{${labels},le="1.0"} ${fast + slow}.0`,
      `vllm:time_to_first_token_seconds_bucket{${labels},le="+Inf"} ${fast + slow + late}.0`,
      `vllm:time_to_first_token_seconds_count{${labels}} ${fast + slow + late}.0`,
      `vllm:time_to_first_token_seconds_sum{${labels}} ${firstToken.sum}`,
    ].join('\n');
  });
  return [
    '# HELP python_info Python platform information',
    '# TYPE python_info gauge',
    'python_info{implementation="CPython",major="3",version="3.12.3"} 1.0',
    family('num_requests_running', 'gauge', ({ running = 0 }) => running),
    family('num_requests_waiting', 'gauge', ({ waiting = 0 }) => waiting),
    family(kv, 'gauge', ({ kvUse = 0 }) => kvUse),
    family(hits, 'counter', ({ tokensCached = 0 }) => tokensCached),
    family('num_preemptions_total', 'counter', ({ preemptions = 0 }) => preemptions),
    family('prompt_tokens_total', 'counter', ({ tokensIn = 0 }) => tokensIn),
    family('generation_tokens_total', 'counter', ({ tokensOut = 0 }) => tokensOut),
    '# TYPE vllm:time_to_first_token_seconds histogram',
    ...histogram,
    '',
  ].join('\n');
}

export const llamaCppPage = `# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 6886
# HELP llamacpp:tokens_predicted_total Number of generation tokens processed.
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 3469
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 1
`;

const gpu = (index: number, uuid: string) =>
  `gpu="${index}",UUID="${uuid}",pci_bus_id="00000000:0${index}:00.0",device="nvidia${index}",modelName="NVIDIA H100 80GB HBM3",Hostname="box"`;
export const dcgmPage = `# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{${gpu(0, 'GPU-aaaa')}} 75
# HELP DCGM_FI_PROF_GR_ENGINE_ACTIVE Ratio of time the graphics engine is active.
# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge
DCGM_FI_PROF_GR_ENGINE_ACTIVE{${gpu(1, 'GPU-bbbb')}} 0.500000
# TYPE DCGM_FI_DEV_FB_FREE gauge
DCGM_FI_DEV_FB_FREE{${gpu(0, 'GPU-aaaa')}} 80000
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{${gpu(0, 'GPU-aaaa')}} 1024
# TYPE DCGM_FI_DEV_FB_RESERVED gauge
DCGM_FI_DEV_FB_RESERVED{${gpu(0, 'GPU-aaaa')}} 535
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{${gpu(0, 'GPU-aaaa')}} 250.500000
`;

export const smiOutput = `0, GPU-aaaa, 41, 1024, 81559, 120.50
1, GPU-bbbb, [N/A], 0, 81559, [Not Supported]
`;
