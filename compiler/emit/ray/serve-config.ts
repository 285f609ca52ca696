import { fail, type Json } from '../../contracts/index.ts';
import type { MeasuredCapacity } from '../emitter.ts';
import { acceleratorTypeOf, engineArgumentsOf, routerClasses } from './engine-arguments.ts';
import type { RayOptions } from './options.ts';
import type { RayPool } from './pools.ts';

/** The port of Serve’s HTTP proxy, which is also the one of the Service that KubeRay puts before it. */
export const servePort = 8000;

/** Ray’s own proportion of processes that take requests to model replicas, from the description of `LLMConfig.experimental_configs`. */
const ingressPerReplica = 2;

export interface ServedPool extends RayPool {
  /** Replicas Ray may have at most. */
  readonly maxReplicas: number;
  readonly scaling: 'ray' | 'external';
  readonly capacity: MeasuredCapacity | undefined;
}

/**
 * What the options and the measurements make of a pool.
 *
 * @throws DmasError `DMAS_EXPORT` where Ray is to scale by a number nobody measured
 */
export function servedPool(pool: RayPool, options: RayOptions, capacity: MeasuredCapacity | undefined): ServedPool {
  if (options.scaling === 'ray' && capacity === undefined)
    fail('DMAS_EXPORT', `option scaling: no capacity of a replica of ${pool.service} was measured, so there is nothing to scale by`, {
      fix: 'use --set scaling=external, or export from a run that measured it',
    });
  const scaling = options.scaling === 'auto' ? (capacity === undefined ? 'external' : 'ray') : options.scaling;
  return { ...pool, capacity, scaling, maxReplicas: Math.max(pool.replicas, options.maxReplicas) };
}

/**
 * A Serve config (`ServeDeploySchema` of Ray 2.60): one application per pool, so that pools of one model stay apart and
 * each has replicas, a route and a way to scale of its own.
 */
export function serveConfig(pools: readonly ServedPool[]): { readonly [key: string]: Json } {
  return { proxy_location: 'EveryNode', http_options: { host: '0.0.0.0', port: servePort }, applications: pools.map(application) };
}

/** Path under which the OpenAI-compatible API of a pool is found. */
export const routeOf = ({ name }: Pick<RayPool, 'name'>): string => `/${name}`;

/** As Serve LLM names the deployment of a model: what the API to scale it asks for. */
export const deploymentName = ({ model }: Pick<RayPool, 'model'>): string =>
  `LLMServer:${model.replaceAll('/', '--').replaceAll('.', '_')}`;

function application(pool: ServedPool): { readonly [key: string]: Json } {
  const { name, model, weights, scaling, replicas, options } = pool;
  const accelerator = pool.gpu === undefined ? undefined : acceleratorTypeOf(pool.gpu);
  const router = routerClasses[String(options.router ?? '')];
  const engine = engineArgumentsOf(options);
  return {
    name,
    route_prefix: routeOf(pool),
    import_path: 'ray.serve.llm:build_openai_app',
    // With it Serve refuses any scaling of its own, and the REST API may set the number of replicas.
    ...(scaling === 'external' ? { external_scaler_enabled: true } : {}),
    args: {
      llm_configs: [
        {
          model_loading_config: { model_id: model, model_source: weights },
          ...(accelerator === undefined ? {} : { accelerator_type: accelerator }),
          ...(Object.keys(engine).length === 0 ? {} : { engine_kwargs: engine }),
          deployment_config: {
            ...replicasOf(pool),
            ...(router === undefined ? {} : { request_router_config: { request_router_class: router } }),
          },
        },
      ],
      // Without this the processes that take requests would scale by themselves, which an external scaler forbids.
      ingress_deployment_config: { num_replicas: ingressPerReplica * replicas },
    },
  };
}

/** `num_replicas` beside `autoscaling_config` is an error in Serve. */
function replicasOf({ scaling, replicas, maxReplicas, capacity }: ServedPool): { readonly [key: string]: Json } {
  if (scaling === 'external' || capacity === undefined) return { num_replicas: replicas };
  return {
    autoscaling_config: {
      min_replicas: 1,
      initial_replicas: replicas,
      max_replicas: maxReplicas,
      target_ongoing_requests: Math.max(1, Number(capacity.concurrency.toPrecision(3))),
    },
  };
}

/** CPUs Ray books for one model replica: itself, and the processes before it (1 each, the default of an actor of Serve). */
export const bookedCpus = 1 + ingressPerReplica;
