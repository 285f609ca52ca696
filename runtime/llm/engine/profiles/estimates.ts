import { estimateProfile } from '../estimate-profile.ts';
import type { HardwareProfile } from '../hardware-profile.ts';

/** Pairs people ask for first: short name, GPU, model, and the tensor-parallel degrees at which the weights fit. */
const pairs: readonly (readonly [gpu: string, word: string, model: string, degrees: readonly number[]])[] = [
  ['h100', 'llama-3.1-8b', 'meta-llama/Llama-3.1-8B', [1, 2]],
  ['h100', 'llama-3.3-70b', 'meta-llama/Llama-3.3-70B-Instruct', [4, 8]],
  ['h100', 'qwen3-32b', 'Qwen/Qwen3-32B', [1, 2, 4]],
  ['h100', 'qwen3-30b-a3b', 'Qwen/Qwen3-30B-A3B', [1, 2]],
  ['h200', 'llama-3.1-8b', 'meta-llama/Llama-3.1-8B', [1]],
  ['h200', 'llama-3.3-70b', 'meta-llama/Llama-3.3-70B-Instruct', [2, 4]],
  ['h200', 'qwen3-32b', 'Qwen/Qwen3-32B', [1, 2]],
  ['h200', 'qwen3-30b-a3b', 'Qwen/Qwen3-30B-A3B', [1, 2]],
  ['a100-80gb', 'llama-3.1-8b', 'meta-llama/Llama-3.1-8B', [1, 2]],
  ['a100-80gb', 'llama-3.3-70b', 'meta-llama/Llama-3.3-70B-Instruct', [4, 8]],
  ['a100-80gb', 'qwen3-32b', 'Qwen/Qwen3-32B', [1, 2]],
  ['a100-80gb', 'qwen3-30b-a3b', 'Qwen/Qwen3-30B-A3B', [1, 2]],
  ['l40s', 'llama-3.1-8b', 'meta-llama/Llama-3.1-8B', [1, 2]],
  ['l40s', 'qwen3-32b', 'Qwen/Qwen3-32B', [2, 4]],
  ['l40s', 'qwen3-30b-a3b', 'Qwen/Qwen3-30B-A3B', [2]],
  ['l4', 'llama-3.1-8b', 'meta-llama/Llama-3.1-8B', [1, 2]],
];

/** Profiles with no measurement of that model on that GPU behind them: every result that rests on one says `estimate`. */
export const estimates: readonly HardwareProfile[] = pairs.map(([gpu, word, model, degrees]) => {
  const steps = degrees.map((tensorParallelSize) => estimateProfile({ gpu, model, tensorParallelSize }));
  return {
    ...(steps[0] as HardwareProfile),
    name: `${gpu}-${word}`,
    stepsByTensorParallel: Object.assign(
      {},
      ...steps.map(({ stepsByTensorParallel }) => stepsByTensorParallel),
    ) as HardwareProfile['stepsByTensorParallel'],
  };
});
