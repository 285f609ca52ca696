import { findGpu } from '../../../runtime/llm/engine/gpus.ts';
import { engineReplicasOf } from '../../../runtime/llm/engine/pool-size.ts';
import { shippedProfiles } from '../../../runtime/llm/engine/profiles/index.ts';
import { fail, type Json, type LogicalAddress, type Plan, type PlannedService, plannedModelsOf } from '../../contracts/index.ts';
import { serviceAddress } from '../../plan/members.ts';
import { readPairs } from './options.ts';

/** One pool of model servers that Ray takes over. */
export interface RayPool {
  /** Id of the planned service, by which capacity was measured. */
  readonly service: string;
  /** Where the plan's units look for it: the server, or the router before several. */
  readonly addresses: readonly LogicalAddress[];
  /** Name of its Serve application and of its route. */
  readonly name: string;
  /** What agents ask for on the wire. */
  readonly model: string;
  /** Hugging Face id or a path the workers see. */
  readonly weights: string;
  readonly replicas: number;
  readonly gpusPerReplica: number;
  /** Our name of the GPU; undefined: any. */
  readonly gpu: string | undefined;
  readonly options: { readonly [option: string]: Json };
}

/**
 * The pools of a plan that Ray Serve LLM will serve.
 *
 * @param weights as of the option of that name
 * @throws DmasError `DMAS_EXPORT` where there is none, or one that Ray cannot serve
 */
export function rayPools(plan: Plan, weights: string): readonly RayPool[] {
  const named = readPairs('weights', weights);
  const servers = plan.services.filter(({ kind }) => kind === 'model');
  if (servers.length === 0) {
    const reason = plan.units.some(({ models }) => Object.keys(models).length > 0)
      ? 'all models of this application are served by somebody else'
      : 'this application uses no model';
    fail('DMAS_EXPORT', `models: format ray has nothing to serve, since ${reason}`, { fix: 'use --format kubernetes' });
  }
  const pools = servers.map((server) => ({ server, pool: poolIdOf(server, plan) }));
  const known = [...new Set(pools.flatMap(({ server, pool }) => [pool, logicalOf(pool), modelOf(server)]))];
  const strange = Object.keys(named).find((name) => !known.includes(name));
  if (strange !== undefined)
    fail('DMAS_EXPORT', `option weights names "${strange}", which is no model of this plan`, { allowed: known, fix: 'name one of them' });
  return pools.map(({ server, pool }) => poolOf(server, pool, addressesOf(server, plan), named));
}

function poolOf(
  server: PlannedService,
  pool: string,
  addresses: readonly LogicalAddress[],
  named: { readonly [model: string]: string },
): RayPool {
  const { options } = server;
  const name = logicalOf(pool);
  const model = modelOf(server);
  const ours = options.backend === 'llama-cpp' ? undefined : isHuggingFaceId(model) ? model : undefined;
  const weights = named[pool] ?? named[name] ?? named[model] ?? ours;
  const at = `models.${name}`;
  if (weights === undefined)
    return fail('DMAS_EXPORT', `${at}: backend ${options.backend} answers as "${model}", which names no weights Ray could load`, {
      fix: `say them: --set weights=${name}=Qwen/Qwen3-8B, or ${at}.model: Qwen/Qwen3-8B`,
    });
  if (options.expertParallel === true && numberOf(options.dataParallelSize) > 1)
    return fail('DMAS_EXPORT', `${at}: its experts are spread over data-parallel ranks, for which this format has no words`, {
      fix: 'choose a layout with dataParallelSize: 1, or use --format kubernetes',
    });
  if (options.gpus === 0)
    return fail('DMAS_EXPORT', `${at}: it runs without a GPU, and the images of Ray Serve LLM are built for CUDA`, {
      fix: 'use --format kubernetes',
    });
  const tensor = numberOf(options.tensorParallelSize);
  return {
    service: server.id,
    addresses,
    name: server.id
      .replace(/^model-/, '')
      .replace(/[^A-Za-z0-9-]+/g, '-')
      .toLowerCase(),
    model,
    weights,
    // Ranks that share nothing are replicas, and Ray balances and scales replicas one by one.
    replicas: engineReplicasOf(options, server.replicas) * numberOf(options.dataParallelSize),
    gpusPerReplica: tensor,
    gpu: gpuOf(options),
    options,
  };
}

function gpuOf({ gpu, profile }: RayPool['options']): string | undefined {
  const given = typeof gpu === 'string' && gpu !== '' ? gpu : shippedProfiles.find(({ name }) => name === profile)?.gpu;
  return given === undefined ? undefined : findGpu(given);
}

function addressesOf({ id }: PlannedService, { services }: Plan): LogicalAddress[] {
  const own = serviceAddress(id);
  const routers = services.filter(({ kind, options }) => kind === 'router' && options.upstream === own);
  return [own, ...routers.map((router) => serviceAddress(router.id))];
}

function poolIdOf(server: PlannedService, plan: Plan): string {
  const addresses = addressesOf(server, plan);
  const asked = plan.units.flatMap(plannedModelsOf).find(({ address }) => addresses.includes(address));
  return asked?.pool ?? server.id.replace(/^model-/, '');
}

/** Of `<model>@<agents>`. */
const logicalOf = (pool: string): string => pool.split('@')[0] ?? pool;
const modelOf = ({ options, id }: PlannedService): string => (typeof options.model === 'string' ? options.model : id);
const numberOf = (value: Json | undefined): number => (typeof value === 'number' && value > 0 ? value : 1);
const isHuggingFaceId = (model: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(model);
