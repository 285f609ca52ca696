import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { createRandom, exitCodes, fail } from '../../../compiler/contracts/index.ts';
import {
  blocksSeen,
  completeArgs,
  type GivenArgs,
  readEngineMeta,
  readEngineWords,
  readFields,
} from '../../../profiler/engine/engine-args.ts';
import { fitFromLog } from '../../../profiler/engine/fit-log.ts';
import { fitProbe } from '../../../profiler/engine/fit-probe.ts';
import { fitFromTimings } from '../../../profiler/engine/fit-timings.ts';
import { readOperatorTables } from '../../../profiler/engine/operator-timings.ts';
import { probeEndpoint } from '../../../profiler/engine/probe.ts';
import { readRequestLog } from '../../../profiler/engine/request-log.ts';
import { findGpu, gpus } from '../../../runtime/llm/engine/gpus.ts';
import type { HardwareProfile } from '../../../runtime/llm/engine/hardware-profile.ts';
import { memoryUse } from '../../../runtime/llm/engine/memory.ts';
import { findModelShape, type ModelShape, modelShapes } from '../../../runtime/llm/engine/model-shapes.ts';
import { listenForInterrupt } from '../../interrupt.ts';
import { renderFit } from '../../render/llm-fit.ts';
import { writeWhole } from '../../run-folder.ts';
import { readTable } from './run-files.ts';

export interface FitOptions {
  readonly out?: string;
  readonly json?: boolean;
  readonly name?: string;
  readonly gpu?: string;
  readonly model?: string;
  readonly engineArgs?: readonly string[];
  /** Work of the host per step, where timings do not hold it. */
  readonly hostMs: number;
  readonly maxPrompt: number;
  readonly maxReply: number;
  readonly maxConcurrency: number;
  readonly repeats: number;
  readonly for: number;
  readonly keyEnv?: string;
  readonly seed: number;
}

/** A profile with what is to be said of how it came about. */
export interface FittedProfile {
  readonly profile: HardwareProfile;
  readonly from: 'operator timings' | 'request log' | 'endpoint';
  /** Times or batches compared. */
  readonly compared: number;
}

/** A hardware profile from operator timings (a folder), a request log (a .jsonl file) or an endpoint (a URL). */
export async function fitProfile(source: string, options: FitOptions): Promise<number> {
  const fitted = /^https?:\/\//.test(source)
    ? await fromEndpoint(source, options)
    : (await kindOf(source)) === 'folder'
      ? await fromTimings(source, options)
      : await fromLog(source, options);
  const text = `${JSON.stringify(fitted.profile, null, 2)}\n`;
  if (options.out !== undefined) await writeWhole(resolve(options.out), text);
  process.stdout.write(options.json ? text : renderFit(fitted, options.out));
  return exitCodes.success;
}

async function kindOf(path: string): Promise<'folder' | 'file'> {
  const found = await stat(path).catch(() => undefined);
  if (!found)
    return fail('DMAS_FILE_UNREADABLE', `${path} does not exist`, {
      fix: 'Give a folder with operator timings, a request log in JSON lines, or the URL of an endpoint.',
    });
  return found.isDirectory() ? 'folder' : 'file';
}

async function fromTimings(folder: string, options: FitOptions): Promise<FittedProfile> {
  const inner = join(folder, 'profile');
  const at = (await stat(inner).catch(() => undefined))?.isDirectory() ? inner : folder;
  const files = await readdir(at);
  const degrees = files.flatMap((file) => /^tp(\d+)-dense\.csv$/.exec(file)?.[1] ?? []).sort((a, b) => Number(a) - Number(b));
  if (degrees.length === 0)
    fail('DMAS_ENGINE_FILE', `${at} holds no tp<N>-dense.csv`, {
      fix: 'A folder of operator timings has tp<N>-attention.csv, tp<N>-dense.csv and tp<N>-per_sequence.csv for each tensor-parallel degree.',
    });
  const { shape, name: model } = shapeOf(options.model);
  const gpu = options.gpu === undefined ? undefined : findGpu(options.gpu);
  const link = await linkOf(folder, gpu);
  const table = async (degree: string, name: string) => {
    const path = join(at, `tp${degree}-${name}.csv`);
    const text = await readFile(path, 'utf8').catch(() =>
      fail('DMAS_ENGINE_FILE', `${path} cannot be read`, { fix: 'Each degree needs all three tables.' }),
    );
    return { path, text };
  };
  const fits = await Promise.all(
    degrees.map(async (degree) => {
      const tables = readOperatorTables(Number(degree), {
        attention: await table(degree, 'attention'),
        dense: await table(degree, 'dense'),
        perSequence: await table(degree, 'per_sequence'),
      });
      return {
        degree,
        fit: fitFromTimings({
          tables,
          shape,
          link,
          captureSizes: [],
          hostMs: options.hostMs,
          kvTokens: kvTokensOf(shape, gpu, Number(degree)),
        }),
      };
    }),
  );
  return {
    from: 'operator timings',
    compared: fits.reduce((sum, { fit }) => sum + fit.compared, 0),
    profile: {
      schemaVersion: 1,
      name: options.name ?? nameOf(options.gpu ?? basename(resolve(folder)), model),
      gpu: gpu ?? options.gpu ?? 'unknown',
      model,
      evidence: 'measured',
      source: `operator timings of ${basename(resolve(folder))}`,
      stepsByTensorParallel: Object.fromEntries(fits.map(({ degree, fit }) => [degree, fit.coefficients])),
      fit: {
        medianErrorShare: Math.max(...fits.map(({ fit }) => fit.medianErrorShare)),
        p90ErrorShare: Math.max(...fits.map(({ fit }) => fit.p90ErrorShare)),
        undetermined: [...new Set(fits.flatMap(({ fit }) => fit.undetermined))],
      },
    },
  };
}

/** As the run’s `config.json` says (GB/s and ns), else by the table of GPUs and the order of magnitude of a message. */
async function linkOf(folder: string, gpu: string | undefined): Promise<{ readonly bandwidthGbPerS: number; readonly latencyNs: number }> {
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '{}');
  let said: { readonly link_bw?: unknown; readonly link_latency?: unknown } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch (cause) {
    fail('DMAS_ENGINE_FILE', `${join(folder, 'config.json')} is no JSON`, { cause });
  }
  const known = gpu === undefined ? undefined : gpus[gpu]?.linkGbPerS;
  return {
    bandwidthGbPerS: typeof said.link_bw === 'number' && said.link_bw > 0 ? said.link_bw : (known ?? 16),
    latencyNs: typeof said.link_latency === 'number' && said.link_latency >= 0 ? said.link_latency : 10_000,
  };
}

/** Tokens of KV cache beside the weights; where the GPU is not known, more than most have. */
function kvTokensOf(shape: ModelShape, gpu: string | undefined, tensorParallelSize: number): number {
  const memoryGb = gpu === undefined ? undefined : gpus[gpu]?.memoryGb;
  if (memoryGb === undefined) return 2 ** 18;
  const args = { dataParallelSize: 1, expertParallel: false, expertRanks: 1, blockSize: 16, maxNumSeqs: 256, maxNumBatchedTokens: 2048 };
  const { kvBlocks } = memoryUse({ ...args, shape, tensorParallelSize, memoryGb, utilization: 0.9 });
  return Math.max(2 ** 14, kvBlocks * args.blockSize);
}

async function fromLog(file: string, options: FitOptions): Promise<FittedProfile> {
  const requests = readRequestLog(await readTable(file)).sort((a, b) => a.queuedMs - b.queuedMs);
  if (requests.length < 2)
    fail('DMAS_ENGINE_FILE', `${file} holds one request, and a fit needs at least two`, { fix: 'Give a longer log.' });
  const given = await Promise.all((options.engineArgs ?? []).map(givenArgs));
  const args = completeArgs(Object.assign({}, ...given) as GivenArgs, ({ blockSize }) => blocksSeen(requests, blockSize), 'DMAS_CLI_USAGE');
  const fit = fitFromLog(requests, args);
  return {
    from: 'request log',
    compared: fit.compared,
    profile: {
      ...namesOf(options, basename(file)),
      source: `request log ${basename(file)} (${requests.length} requests), without operator timings`,
      stepsByTensorParallel: { [String(args.tensorParallelSize)]: fit.coefficients },
      kv: { [String(args.tensorParallelSize)]: { blocks: args.kvBlocks, blockSize: args.blockSize } },
      fit: { medianErrorShare: fit.medianErrorShare, p90ErrorShare: fit.p90ErrorShare, undetermined: fit.undetermined },
    },
  };
}

/** Of words, or of the file of a run. */
async function givenArgs(text: string): Promise<GivenArgs> {
  if (!text.endsWith('.json')) return readEngineWords(text);
  const file = await readTable(text);
  return readEngineMeta(file, readFields(file));
}

async function fromEndpoint(url: string, options: FitOptions): Promise<FittedProfile> {
  if (options.model === undefined)
    fail('DMAS_CLI_USAGE', 'an endpoint is probed under the name of a model', { fix: 'Add --model <name>.' });
  const apiKey = options.keyEnv === undefined ? undefined : process.env[options.keyEnv];
  if (options.keyEnv !== undefined && !apiKey)
    fail('DMAS_CFG_MISSING_ENV', `${options.keyEnv} is not set`, { fix: `Set ${options.keyEnv} to the key of ${url}.` });
  const interrupt = listenForInterrupt(() => process.stderr.write('ending the probing run; what was answered so far is fitted\n'));
  const random = createRandom(options.seed);
  try {
    const run = await probeEndpoint({
      endpoint: { url, model: options.model, ...(apiKey ? { apiKey } : {}) },
      mostTokensIn: options.maxPrompt,
      mostTokensOut: options.maxReply,
      mostConcurrency: options.maxConcurrency,
      repeats: options.repeats,
      limitMs: options.for,
      random: () => random.next(),
      signal: interrupt.signal,
      onRound: (done, of, name) => {
        if (!options.json) process.stderr.write(`${done + 1}/${of} ${name}\n`);
      },
    });
    const fit = fitProbe(run);
    const { maxNumSeqs, maxNumBatchedTokens } = fit.limits;
    return {
      from: 'endpoint',
      compared: fit.compared,
      profile: {
        ...namesOf(options, options.model),
        source: `probing run of ${fit.compared} requests against an endpoint`,
        stepsByTensorParallel: { 1: fit.coefficients },
        fit: { medianErrorShare: fit.medianErrorShare, p90ErrorShare: fit.p90ErrorShare, undetermined: fit.undetermined },
        endpoint: {
          overheadMs: fit.overheadMs,
          ...(maxNumSeqs === undefined ? {} : { maxNumSeqs }),
          ...(maxNumBatchedTokens === undefined ? {} : { maxNumBatchedTokens }),
        },
      },
    };
  } finally {
    interrupt.dispose();
  }
}

function shapeOf(model: string | undefined) {
  const found = model === undefined ? undefined : findModelShape(model);
  if (!found)
    return fail(
      'DMAS_CLI_USAGE',
      model === undefined ? 'operator timings are of one layer, so the model must be known' : `the shape of ${model} is not known`,
      {
        fix: `Add --model, one of ${[...modelShapes.keys()].join(', ')}.`,
      },
    );
  return found;
}

function namesOf(options: FitOptions, from: string) {
  const model = (options.model && findModelShape(options.model)?.name) ?? options.model ?? 'unknown';
  const gpu = options.gpu === undefined ? 'unknown' : (findGpu(options.gpu) ?? options.gpu);
  return { schemaVersion: 1 as const, name: options.name ?? nameOf(options.gpu ?? from, model), gpu, model, evidence: 'measured' as const };
}

const nameOf = (...parts: readonly string[]) =>
  parts
    .map((part) =>
      part
        .slice(part.lastIndexOf('/') + 1)
        .toLowerCase()
        .replace(/\.jsonl$/, '')
        .replace(/[^a-z0-9.]+/g, '-'),
    )
    .filter((part, index, all) => all.indexOf(part) === index)
    .join('-');
