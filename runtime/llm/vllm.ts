import { z } from 'zod';
import { defineLlmBackend } from './backend.ts';
import { stallTimeoutMs } from './silence.ts';

const count = (text: string) => z.int().nonnegative().default(0).describe(`${text}; 0: vLLM decides`);
const word = (text: string) => z.string().default('').describe(`${text}; empty: vLLM decides`);

/** Engine arguments by vLLM's own names in camel case; what is not given vLLM decides. */
const engine = {
  tensorParallelSize: count('GPUs one copy of the model is spread over'),
  dataParallelSize: count('Copies of the model in one server'),
  expertParallel: z.boolean().default(false).describe('Spread experts instead of cutting each'),
  maxNumSeqs: count('Most sequences in the running batch'),
  maxNumBatchedTokens: count('Most tokens computed in one step'),
  maxModelLen: count('Longest context in tokens'),
  blockSize: count('Tokens per block of the KV cache'),
  kvBlocks: count('Blocks of the KV cache'),
  gpuMemoryUtilization: z.number().min(0).max(1).default(0).describe('Share of GPU memory it may use; 0: vLLM decides'),
  prefixCaching: z.boolean().default(true).describe('Keep prompt prefixes in the KV cache'),
  dtype: word('Type of weights and activations'),
  quantization: word('How the weights are quantized'),
  kvCacheDtype: word('Type of the KV cache'),
  toolCallParser: word('How the model writes tool calls; needed for agents with tools'),
  enforceEager: z.boolean().default(false).describe('No CUDA graphs: slower, starts faster'),
  trustRemoteCode: z.boolean().default(false).describe('Run code that comes with the weights'),
};

const client = {
  retries: z.int().nonnegative().default(2).describe('How often a call is repeated after 429, 5xx and broken connections'),
  connections: z.int().positive().default(1024).describe('Most connections per process; calls beyond them wait'),
  stallTimeoutMs: z
    .int()
    .nonnegative()
    .default(stallTimeoutMs)
    .describe('A streamed reply on which nothing comes for so long is given up, and repeated if nothing was passed on; 0: never'),
};

const host = {
  gpu: z.string().default('').describe('Kind of GPU, a key of prices.gpuHourUsd'),
  gpus: z.int().nonnegative().default(1).describe('GPUs of one replica, 0 for a build for the CPU; not given: tensor × data parallel size'),
  image: z.string().default('').describe('Container image, for target docker'),
  cacheFolder: z.string().default('').describe('Folder of this machine that holds downloaded weights; empty: its own default'),
  vcpu: z.number().nonnegative().default(0).describe('CPU of one replica, limited and paid for; 0: comes with the GPU'),
  memoryMb: z.int().nonnegative().default(0).describe('Memory of one replica, limited and paid for; 0: comes with the GPU'),
  sharedMemoryMb: z.int().nonnegative().default(0).describe('Shared memory of its container; 0: 8192 where it has several GPUs'),
};

const options = z.looseObject({ ...engine, ...host, ...client });

/** vLLM, started with the plan or pointed at with `url`. Flags and metric names are those of vLLM 0.19. */
export const vllm = defineLlmBackend({
  id: 'vllm',
  title: 'vLLM server',
  options,
  traits: {
    deployed: true,
    provenance: 'measured',
    metrics: 'vllm',
    program: {
      command: ['vllm', 'serve'],
      // Cached tokens stand in the usage of a reply only when asked for.
      always: ['--served-model-name', '{name}', '--host', '{host}', '--port', '{port}', '--enable-prompt-tokens-details'],
      flags: {
        tensorParallelSize: { value: '--tensor-parallel-size' },
        dataParallelSize: { value: '--data-parallel-size' },
        expertParallel: { on: '--enable-expert-parallel' },
        maxNumSeqs: { value: '--max-num-seqs' },
        maxNumBatchedTokens: { value: '--max-num-batched-tokens' },
        maxModelLen: { value: '--max-model-len' },
        blockSize: { value: '--block-size' },
        kvBlocks: { value: '--num-gpu-blocks-override' },
        gpuMemoryUtilization: { value: '--gpu-memory-utilization' },
        prefixCaching: { on: '--enable-prefix-caching', off: '--no-enable-prefix-caching' },
        dtype: { value: '--dtype' },
        quantization: { value: '--quantization' },
        kvCacheDtype: { value: '--kv-cache-dtype' },
        toolCallParser: { value: '--tool-call-parser', with: '--enable-auto-tool-choice' },
        enforceEager: { on: '--enforce-eager' },
        trustRemoteCode: { on: '--trust-remote-code' },
      },
      others: [...Object.keys(host), ...Object.keys(client), 'affinity', 'router', 'profile', 'coldStartMs'],
      exampleImage: 'vllm/vllm-openai:v0.19.0',
      ready: '/health',
      readyTimeoutMs: 30 * 60_000,
      cache: { variable: 'HF_HOME', at: '/cache' },
      secrets: ['HF_TOKEN'],
      // Its usage statistics would phone home.
      environment: { VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1' },
      // vLLM documentation, vllm.entrypoints.serve.cache.api_router: there in development mode alone.
      forget: { path: '/reset_prefix_cache', environment: { VLLM_SERVER_DEV_MODE: '1' } },
    },
  },
  load: async () => {
    const { createOpenAiModel } = await import('./openai-client.ts');
    const clientOptions = z.object(client);
    return {
      connect: (model, baseUrl, key) => {
        const settings = clientOptions.parse(model.options);
        const url = new URL(baseUrl);
        if (url.pathname === '/') url.pathname = '/v1';
        return createOpenAiModel({ baseUrl: url.href, model: model.model, key, maxTokensParameter: 'max_completion_tokens', ...settings });
      },
    };
  },
});
