import { fail } from '../../compiler/contracts/index.ts';
import { memoryUse } from '../../runtime/llm/engine/memory.ts';
import { findModelShape, type ModelShape, modelShapes } from '../../runtime/llm/engine/model-shapes.ts';
import type { EngineArgs, StepTime } from '../../runtime/llm/engine/step-time.ts';
import { operatorStepTime } from '../../runtime/llm/engine/step-times-operators.ts';
import { completeArgs, type Fields, fieldsAt, readEngineMeta, readFields } from './engine-args.ts';
import { type OperatorFiles, readOperatorTables, type TableFile } from './operator-timings.ts';

/** What a run folder says of the engine that ran. */
export interface RunFacts {
  readonly model: string;
  readonly shape: ModelShape;
  readonly args: EngineArgs;
  /** Whether the engine logged its KV blocks; else they are computed from memory. */
  readonly kvLogged: boolean;
  readonly captureSizes: readonly number[];
  /** Each rank holds some experts whole; else a slice of every one. */
  readonly wholeExperts: boolean;
  readonly link: { readonly bandwidthGbPerS: number; readonly latencyNs: number };
}

/** @throws DmasError DMAS_ENGINE_FILE naming the file and what is missing */
export function readRunFacts(metaFile: TableFile, configFile: TableFile): RunFacts {
  const meta = readFields(metaFile);
  const config = readFields(configFile);
  const kwargs = fieldsAt(meta, 'engine_kwargs');
  if (!kwargs) return fail('DMAS_ENGINE_FILE', `${metaFile.path}: no engine_kwargs`, { fix: 'engine_kwargs must be an object.' });
  const resolved = fieldsAt(meta, 'resolved_config') ?? {};
  const model = String(meta.model ?? kwargs.model ?? '');
  const found = findModelShape(model);
  if (!found) {
    return fail('DMAS_ENGINE_FILE', `${metaFile.path}: the shape of model "${model}" is not known`, {
      fix: `Add it to runtime/llm/engine/model-shapes.ts. Known: ${[...modelShapes.keys()].join(', ')}.`,
    });
  }
  const { shape } = found;
  const { kvBlocks: logged = 0, ...given } = readEngineMeta(metaFile, meta);
  const dataParallelSize = given.dataParallelSize ?? 1;
  const npu = instanceOf(config, configFile);
  const memoryGb = numberAt(npu, configFile, 'mem_size');
  const utilization = typeof npu.mem_util === 'number' ? npu.mem_util : 0.9;
  const expertRanks = shape.experts > 0 ? dataParallelSize : 1;
  // A log of one block holds the null block alone.
  const kvLogged = logged > 0;
  const args = completeArgs(
    {
      ...given,
      ...(kvLogged ? { kvBlocks: logged } : {}),
      // Ranks of a model with experts step together whether they hold whole experts or slices.
      expertParallel: shape.experts > 0 && dataParallelSize > 1,
    },
    (rest) => {
      // Less the null block.
      const kvBlocks = memoryUse({ ...rest, shape, memoryGb, utilization, expertRanks }).kvBlocks - 1;
      if (kvBlocks >= 1) return kvBlocks;
      return fail('DMAS_ENGINE_FILE', `${configFile.path}: ${model} does not fit: no memory is left for the KV cache`, {
        fix: 'Check npu_mem.mem_size (GB of one GPU) and mem_util, or give kv_cache.num_gpu_blocks in meta.json.',
      });
    },
    'DMAS_ENGINE_FILE',
  );
  const sizes = fieldsAt(resolved, 'compilation_config')?.cudagraph_capture_sizes;
  const captured = Array.isArray(sizes) ? sizes.filter((size): size is number => typeof size === 'number').sort((a, b) => a - b) : [];
  return {
    model: found.name,
    shape,
    args,
    kvLogged,
    captureSizes: captured.length > 0 ? captured : defaultCaptureSizes(args.maxNumSeqs),
    link: { bandwidthGbPerS: numberAt(config, configFile, 'link_bw'), latencyNs: numberAt(config, configFile, 'link_latency') },
    wholeExperts: kwargs.enable_expert_parallel === true,
  };
}

/**
 * What the GPU does between two steps beside the operators measured. The host's own work is hidden, because the next step is
 * planned while one is computed; left are the small kernels and copies around the model, some forty of 3 to 5 µs: token ids,
 * positions, slots, block tables, lengths, sampled tokens to where the next step and the host need them.
 */
const betweenStepsMs = 0.15;

/** The step time of the engine that ran, from operators measured alone. */
export function runStepTime(facts: RunFacts, files: OperatorFiles): StepTime {
  const { args, shape, link, captureSizes } = facts;
  if (shape.experts > 0 && !files.experts) {
    return fail('DMAS_ENGINE_FILE', `${files.dense.path}: ${facts.model} has experts, but there is no table of their times`, {
      fix: 'Put tp1-moe.csv with columns tokens, activated_experts, time_us beside it.',
    });
  }
  return operatorStepTime({
    tables: readOperatorTables(args.tensorParallelSize, files),
    shape,
    link,
    captureSizes,
    expertRanks: shape.experts > 0 ? args.dataParallelSize : 1,
    expertParallel: facts.wholeExperts,
    hostMs: betweenStepsMs,
  });
}

/** vLLM's default: 1, 2, 4, every 8 below 256, every 16 up to twice the sequences, at most 512. */
function defaultCaptureSizes(maxNumSeqs: number): number[] {
  const most = Math.min(512, 2 * maxNumSeqs);
  const sizes = [1, 2, 4];
  for (let size = 8; size < 256; size += 8) sizes.push(size);
  for (let size = 256; size <= 512; size += 16) sizes.push(size);
  return sizes.filter((size) => size <= most);
}

function numberAt(of: Fields, { path }: TableFile, name: string): number {
  const value = of[name];
  if (typeof value === 'number' && value >= 0) return value;
  return fail('DMAS_ENGINE_FILE', `${path}: ${name} is ${JSON.stringify(value)}`, { fix: `${name} must be a number of at least 0.` });
}

/** Memory of a GPU of the first instance. */
function instanceOf(config: Fields, file: TableFile): Fields {
  const nodes = Array.isArray(config.nodes) ? (config.nodes as Fields[]) : [];
  const instances = nodes.flatMap((node) => (Array.isArray(node?.instances) ? (node.instances as Fields[]) : []));
  const memory = instances.map((instance) => fieldsAt(instance, 'npu_mem')).find((each) => each !== undefined);
  return memory ?? fail('DMAS_ENGINE_FILE', `${file.path}: no nodes[].instances[].npu_mem`, { fix: 'Say mem_size in GB and mem_util.' });
}
