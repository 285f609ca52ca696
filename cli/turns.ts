import {
  type Configuration,
  canonicalJson,
  configurationId,
  type Plan,
  plannedModelsOf,
  type StageContext,
} from '../compiler/contracts/index.ts';
import { loadsWeights } from '../compiler/plan/members.ts';
import type { Deployment } from '../runtime/targets/target.ts';
import type { Compiled } from './laboratory.ts';
import { serviceBehind } from './pool-sources.ts';
import { llmBackends } from './registry.ts';

export interface TurnsOptions {
  /** What is deployed for a configuration. */
  readonly compile: (configuration: Configuration) => Promise<Compiled>;
  readonly deploy: (configuration: Configuration, compiled: Compiled, context: StageContext) => Promise<Deployment>;
}

/** Layouts whose model servers load weights, one after another on a deployment that keeps those servers. */
export interface Turns {
  /**
   * The deployment, moved to this configuration, with empty caches. In another arena than last time every other replica is a new
   * one. Servers that differ from those that stand are started when those have ended, for GPUs are seldom there twice.
   *
   * @throws DmasError when the configuration cannot be deployed; what stood before may stand still
   */
  take(configuration: Configuration, arena: number, context: StageContext): Promise<Deployment>;
  /** GPUs of what stands. */
  gpus(): number;
  close(): Promise<void>;
}

interface Standing {
  readonly deployment: Deployment;
  readonly configurationId: string;
  readonly servers: string;
  readonly arena: number;
}

/** One that has not answered by then counts as one that cannot be told; a study must not wait for it for ever. */
const forgetTimeoutMs = 10_000;

export function createTurns({ compile, deploy }: TurnsOptions): Turns {
  const compiled = new Map<string, Promise<Compiled>>();
  const deaf = new Set<string>();
  let standing: Standing | undefined;

  const close = async () => {
    const present = standing;
    standing = undefined;
    await present?.deployment.stop();
  };

  async function moved(configuration: Configuration, arena: number, context: StageContext): Promise<Standing> {
    const id = configurationId(configuration);
    const making = compiled.get(id) ?? compile(configuration);
    compiled.set(id, making);
    const made = await making;
    const servers = canonicalJson(made.plan.services.filter(loadsWeights));
    if (standing !== undefined && standing.servers !== servers) await close();
    if (standing === undefined) return { deployment: await deploy(configuration, made, context), configurationId: id, servers, arena };
    await standing.deployment.update({ ...made, fresh: standing.arena !== arena }, context);
    return { ...standing, configurationId: id, arena };
  }

  /** What one layout has made a server remember must not help the next. */
  async function forget(deployment: Deployment, context: StageContext): Promise<void> {
    await Promise.all(
      deployment.modelServers().map(async ({ service, url }) => {
        const path = forgetOf(backendBehind(deployment.plan, service))?.path;
        const answer = path === undefined ? 'it has no way to' : await told(`${url}${path}`, context.signal);
        if (answer === null || deaf.has(service)) return;
        deaf.add(service);
        const message = `${service} could not be told to forget cached prompts (${answer}): what one layout asked may help the next`;
        context.emit({ type: 'notice', severity: 'warning', message });
      }),
    );
  }

  return {
    take: async (configuration, arena, context) => {
      if (standing?.configurationId === configurationId(configuration) && standing.arena === arena) return standing.deployment;
      standing = await moved(configuration, arena, context);
      const { deployment } = standing;
      await forget(deployment, context);
      return deployment;
    },
    gpus: () => (standing === undefined ? 0 : gpusOfPlan(standing.deployment.plan)),
    close,
  };
}

const backendBehind = (plan: Plan, service: string): string | undefined =>
  plan.units.flatMap(plannedModelsOf).find(({ address }) => address.startsWith('service://') && serviceBehind(plan, address) === service)
    ?.backend;

const forgetOf = (backend: string | undefined) => llmBackends.find(({ id }) => id === backend)?.traits.program?.forget;

/** Null when it did; otherwise what it said. */
async function told(url: string, signal: AbortSignal): Promise<string | null> {
  try {
    const response = await fetch(url, { method: 'POST', signal: AbortSignal.any([signal, AbortSignal.timeout(forgetTimeoutMs)]) });
    await response.arrayBuffer();
    return response.ok ? null : `it answered ${response.status}`;
  } catch (error) {
    return (error as Error).message;
  }
}

export const keepsServers = (plan: Plan): boolean => plan.services.some(loadsWeights);

/** GPUs of an arena: layouts that take turns hold what the largest of them holds. */
export function gpusTogether(plans: readonly Plan[]): number {
  const turning = plans.filter(keepsServers).map(gpusOfPlan);
  const beside = plans.filter((plan) => !keepsServers(plan)).map(gpusOfPlan);
  return Math.max(0, ...turning) + beside.reduce((sum, gpus) => sum + gpus, 0);
}

const gpusOfPlan = (plan: Plan): number =>
  [...plan.units, ...plan.services].reduce((sum, { program, replicas }) => sum + (program?.gpus ?? 0) * replicas, 0);

/** The plan whose servers can be told to forget; for studies alone, since what opens that opens more. */
export function withForgetting(plan: Plan): Plan {
  const services = plan.services.map((service) => {
    const forgets = loadsWeights(service) ? forgetOf(backendBehind(plan, service.id)) : undefined;
    if (forgets === undefined || service.program === undefined) return service;
    const environment = { ...service.program.environment, ...forgets.environment };
    return { ...service, program: { ...service.program, environment } };
  });
  return { ...plan, services };
}
