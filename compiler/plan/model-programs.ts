import type { ScenarioConfig } from '../../scenarios/schema.ts';
import {
  didYouMean,
  type Literal,
  type ModelProgramTraits,
  type PlannedProgram,
  type PlannedService,
  type Problem,
} from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import type { PlanRequest } from './request.ts';

type Bound = ScenarioConfig['models'][string];
type Options = { readonly [option: string]: Literal };
/** What is another of a service whose server somebody else built. */
export type PlannedModelServer = Partial<Pick<PlannedService, 'program' | 'resources' | 'secrets'>>;

/** Shared memory of a container whose GPUs speak through it: the engine's own 64 MB is far too little for NCCL. */
const sharedMemoryMb = 8_192;
/** Inside a container every port is free. */
const containerPort = 8_000;

/** Whether a model with such a backend is started here; with a URL it runs already. */
export const startsServer = (traits: { readonly deployed: boolean; readonly program?: ModelProgramTraits }, bound: Bound): boolean =>
  traits.deployed && (traits.program === undefined || bound.url === undefined);

/** What the arguments of a model server become, without the program itself. Same options, same words, same order. */
export function serverArguments(traits: ModelProgramTraits, model: string, host: string, options: Options): string[] {
  const fill = (text: string) => text.replace('{name}', model).replace('{host}', host);
  const flags = Object.entries(traits.flags).flatMap(([option, flag]) => {
    const value = options[option];
    // Zero and nothing stand for: it decides.
    if (value === undefined || value === '' || value === 0) return [];
    if ('value' in flag) return [...(flag.with === undefined ? [] : [flag.with]), flag.value, String(value)];
    if (value === true) return [flag.on];
    return flag.off === undefined ? [] : [flag.off];
  });
  return [model, ...traits.always.map(fill), ...flags];
}

/** GPUs of one replica: as said, else one per shard of every copy. */
export function gpusOf(options: Options): number {
  const given = options.gpus;
  if (typeof given === 'number') return given;
  const size = (value: Literal | undefined) => (typeof value === 'number' && value > 0 ? value : 1);
  return size(options.tensorParallelSize) * size(options.dataParallelSize);
}

/** How the target starts a model server that somebody else built, or why it cannot. */
export function planModelServer(
  request: PlanRequest,
  name: string,
  traits: ModelProgramTraits,
  options: Options,
): { readonly planned?: PlannedModelServer; readonly problems: readonly Problem[] } {
  const bound = request.scenario.models[name];
  const problems = [...unknownOptions(name, traits, options), ...unstartable(request, name, traits, options)];
  if (bound === undefined || problems.length > 0) return { problems };
  const isImage = request.targetTraits.programs === 'image';
  const gpus = gpusOf(options);
  const folder = typeof options.cacheFolder === 'string' ? options.cacheFolder : '';
  const shared = numberOf(options.sharedMemoryMb) || (gpus > 1 ? sharedMemoryMb : 0);
  const program: PlannedProgram = {
    command: [...traits.command, ...serverArguments(traits, bound.model ?? name, isImage ? '0.0.0.0' : '127.0.0.1', options)],
    ...(isImage ? { image: String(options.image), fixedPort: containerPort } : {}),
    folder: '.',
    environment: { ...traits.environment, ...(folder === '' ? {} : { [traits.cache.variable]: isImage ? traits.cache.at : folder }) },
    portVariable: 'PORT',
    path: '/',
    neighbours: {},
    models: {},
    ready: { path: traits.ready },
    instrumented: false,
    ...(gpus === 0 ? {} : { gpus }),
    ...(isImage && folder !== '' ? { mount: { folder, at: traits.cache.at } } : {}),
    ...(isImage && shared > 0 ? { sharedMemoryMb: shared } : {}),
    readyTimeoutMs: traits.readyTimeoutMs,
  };
  const secrets = [...new Set([...traits.secrets, ...(bound.secret === undefined ? [] : [bound.secret])])].sort();
  const resources = { vcpu: numberOf(options.vcpu), memoryMb: numberOf(options.memoryMb) };
  return { planned: { program, resources, secrets }, problems };
}

const numberOf = (value: Literal | undefined): number => (typeof value === 'number' ? value : 0);

function unknownOptions(name: string, traits: ModelProgramTraits, options: Options): Problem[] {
  const allowed = [...Object.keys(traits.flags), ...traits.others].sort();
  return Object.keys(options)
    .filter((option) => !allowed.includes(option))
    .map((option) => {
      const guess = didYouMean(option, allowed);
      return {
        ...unplaceable(`model "${name}" has no option "${option}"`, `remove models.${name}.options.${option}`),
        allowed,
        ...(guess === undefined ? {} : { didYouMean: guess }),
      };
    });
}

function unstartable(request: PlanRequest, name: string, traits: ModelProgramTraits, options: Options): Problem[] {
  const { target, targetTraits, scenario } = request;
  const bound = scenario.models[name];
  const at = `models.${name}`;
  const elsewhere = `give the address of one that runs: ${at}.url: http://host:8000/v1`;
  if (targetTraits.programs === undefined) return [unplaceable(`target ${target} starts no model server, as "${name}" needs`, elsewhere)];
  if (bound?.model === undefined)
    return [unplaceable(`model "${name}" does not say what its server loads`, `add ${at}.model: Qwen/Qwen3-8B, or ${elsewhere}`)];
  if (targetTraits.programs === 'image' && (options.image === undefined || options.image === ''))
    return [
      unplaceable(
        `target ${target} starts containers, but model "${name}" names no image`,
        `add ${at}.options.image: ${traits.exampleImage}, or ${elsewhere}`,
      ),
    ];
  return [];
}
