import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleJob, bundlePlan } from '../compiler/bundle.ts';
import {
  type BlockRequest,
  type Bundle,
  type Configuration,
  configurationId,
  DmasError,
  type EffectPolicy,
  fail,
  isDiskError,
  type Laboratory,
  type MeasuredBlock,
  type Plan,
  type Provenance,
  plannedModelsOf,
  type StageContext,
  weakest,
} from '../compiler/contracts/index.ts';
import { withLastingGateway } from '../compiler/plan/lasting-gateway.ts';
import { planDeployment } from '../compiler/plan/plan-deployment.ts';
import { foreignComponents, withForeign } from '../profiler/analyze/stand-ins.ts';
import { buildTraces } from '../profiler/analyze/tree.ts';
import { callsPerRequest } from '../profiler/block/pools.ts';
import { foldBlock, readSamples } from '../profiler/block.ts';
import type { Collector } from '../profiler/collect/collector.ts';

import type { LoadResult, LoadUnwritten } from '../profiler/load/job.ts';
import { loadJob } from '../profiler/load/workload.ts';
import { writeTraces } from '../profiler/store/traces.ts';
import type { Deployment, Target } from '../runtime/targets/target.ts';
import { planRequest } from './planning.ts';
import { poolSources } from './pool-sources.ts';
import { watchBlock } from './pool-watch.ts';
import type { Project } from './project.ts';
import { overCeiling } from './protect.ts';
import { openReference, type Reference } from './reference.ts';
import { refusalsBetween, refusalsOf } from './refusals.ts';
import { llmBackends } from './registry.ts';
import { replayFacts, replayStats } from './replay-facts.ts';
import { ownReceivers, withRights } from './rights.ts';
import { type RunFolder, writeJson } from './run-folder.ts';
import { studyEffects } from './side-effects.ts';
import { createTurns, gpusTogether, keepsServers, withForgetting } from './turns.ts';

export interface LaboratoryOptions {
  readonly project: Project;
  readonly target: Target;
  readonly collector: Collector;
  readonly folder: RunFolder;
  readonly context: StageContext;
}

/** How long answers and spans may still come in after a block's load has ended. */
const graceMs = 5_000;
/** A deployment of a handful of processes is up in a second; a cold machine may need far longer. */
const readyTimeoutMs = 60_000;
/** Beside the block itself: start of the driver, grace and writing its samples. */
const jobMarginMs = 60_000;

/** Where configurations become deployments and blocks: joins compiler, target, driver and collector. */
export async function createLaboratory(options: LaboratoryOptions): Promise<Laboratory> {
  const driverCode = await bundleJob('profiler/load/driver-main');
  const reference = await openReference(options.folder.file('reference.json'));
  /** Calls per request of each model, once a fully traced block has counted them. */
  const calls = new Map<string, number>();
  const { policy, stubbedTools } = studyEffects(options.project);
  let sequence = (await readdir(options.folder.file('deployments')).catch(() => [])).length;
  const nextId = () => `${options.folder.id.slice(-4)}-${++sequence}`;
  const turns = createTurns({
    compile: (configuration) => compile(options.project, withForgetting(planOf(options.project, configuration))),
    deploy: (configuration, compiled, context) =>
      deployConfiguration(options, configuration, nextId(), context, { stubbedTools, effects: policy, compiled }),
  });
  let arenas = 0;

  return {
    gpusOf: (together) => gpusTogether(together.flatMap((configuration) => plannable(options.project, configuration) ?? [])),
    gpusKept: () => turns.gpus(),
    close: () => turns.close(),
    openArena: async (all, signal) => {
      const context = { ...options.context, signal };
      const arena = ++arenas;
      const turning = new Map(
        all.flatMap((configuration) => {
          const plan = plannable(options.project, configuration);
          return plan !== undefined && keepsServers(plan) ? [[configurationId(configuration), configuration] as const] : [];
        }),
      );
      const configurations = all.filter((configuration) => !turning.has(configurationId(configuration)));
      const arms = new Map<string, Deployment>();
      const failures: { configurationId: string; code: string; message: string; detail?: string }[] = [];
      /** Whether it stands now. */
      const stands = async (configuration: Configuration, deploying: () => Promise<unknown>): Promise<boolean> => {
        try {
          await deploying();
          return true;
        } catch (error) {
          if (!signal.aborted) failures.push({ configurationId: configurationId(configuration), ...asFailure(error) });
          return false;
        }
      };
      // All of them, so that none comes up after the others were stopped.
      const deploying = await Promise.allSettled([
        ...configurations.map((configuration) =>
          stands(configuration, async () => {
            const deployment = await deployConfiguration(options, configuration, nextId(), context, { stubbedTools, effects: policy });
            arms.set(configurationId(configuration), deployment);
          }),
        ),
        // Of those that take turns one stands before the first block, as the others do.
        (async () => {
          for (const configuration of turning.values())
            if (signal.aborted || (await stands(configuration, () => turns.take(configuration, arena, context)))) break;
        })(),
      ]);
      const broken = deploying.find((outcome) => outcome.status === 'rejected');
      if (broken) {
        await stopAll(arms);
        throw asDiskFailure(broken.reason);
      }
      if (signal.aborted) await stopAll(arms);
      const take = async (id: string) => {
        const configuration = turning.get(id);
        if (configuration === undefined) throw new RangeError(`configuration ${id} is not in this arena`);
        return turns.take(configuration, arena, context);
      };
      return {
        failures,
        block: async (request, blockSignal) => {
          const measured = async () => {
            const deployment = arms.get(request.configurationId) ?? (await take(request.configurationId));
            return measureBlock(options, deployment, driverCode, reference, calls, request, { ...context, signal: blockSignal });
          };
          return measured().catch((error: unknown) => {
            throw asDiskFailure(error);
          });
        },
        close: () => stopAll(arms),
      };
    },
  };
}

/** A full disk is no failure of a layout, and neither is a mistake of ours: those are thrown. */
function asFailure(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof DmasError) || error.code === 'DMAS_ENV_DISK') throw error;
  return { code: error.code, message: error.message };
}

/** Undefined for what cannot be planned: whoever deploys it is told why. */
const plannable = (project: Project, configuration: Configuration): Plan | undefined =>
  planDeployment(planRequest(project, configuration)).plan;

/** What could not be written ends the study, which goes on later; any other failure is one of the layout. */
function asDiskFailure(error: unknown): unknown {
  if (!isDiskError(error)) return error;
  return new DmasError({ code: 'DMAS_ENV_DISK', severity: 'error', message: error.message }, { cause: error });
}

const stopAll = (arms: ReadonlyMap<string, Deployment>) =>
  Promise.all([...arms.values()].map((deployment) => deployment.stop())).then(() => {});

interface DeployOptions {
  readonly ingressPort?: number;
  readonly stubbedTools?: readonly string[];
  readonly effects?: EffectPolicy;
  /** As it serves, not as a study runs it (see `compileLive`). */
  readonly live?: boolean;
  /** The last word on the plan. */
  readonly change?: (plan: Plan) => Plan;
  /** Compiled already. */
  readonly compiled?: Compiled;
}

export interface Compiled {
  readonly plan: Plan;
  readonly bundles: readonly Bundle[];
}

const compile = async (project: Project, plan: Plan): Promise<Compiled> => ({
  plan,
  bundles: await bundlePlan({ plan, workflow: project.workflow, cassette: project.recording?.text }),
});

/** A configuration as it serves people: on the real models (see `Project.live`), behind an address that outlives its layout. */
export const compileLive = (project: Project, configuration: Configuration): Promise<Compiled> =>
  compile(project, withLastingGateway(planOf(project, configuration, true)));

/** Compiles and starts one configuration. Throws a DmasError; then nothing of it is left. */
export async function deployConfiguration(
  { project, target, collector, folder, context: { emit } }: Omit<LaboratoryOptions, 'collector'> & { readonly collector?: Collector },
  configuration: Configuration,
  deploymentId: string,
  context: StageContext,
  rest: DeployOptions = {},
): Promise<Deployment> {
  const id = configurationId(configuration);
  const startedAtMs = context.now();
  const planned = () => {
    const plan = planOf(project, configuration, rest.live);
    return rest.change === undefined ? plan : withRights(project, rest.change(plan));
  };
  const { plan, bundles } = rest.compiled ?? (await compile(project, planned()));
  const deploymentFolder = join(folder.file('deployments'), deploymentId);
  await mkdir(deploymentFolder, { recursive: true });
  const deployStartedAtMs = context.now();
  const deployment = await target.deploy(
    {
      deploymentId,
      plan,
      bundles,
      otlpEndpoints: [...(collector === undefined ? [] : [collector.url]), ...ownReceivers(project)],
      samplingRatio: 0,
      folder: deploymentFolder,
      sourceFolder: project.scenario.folder,
      environment: secretsOf(plan),
      ingressPort: rest.ingressPort ?? 0,
      readyTimeoutMs: Math.max(readyTimeoutMs, ...plan.services.map(({ program }) => program?.readyTimeoutMs ?? 0)),
      ...(rest.stubbedTools === undefined ? {} : { stubbedTools: rest.stubbedTools }),
      ...(rest.effects === undefined ? {} : { effects: rest.effects }),
    },
    context,
  );
  // Whoever exports this layout tells an orchestrator how long to wait for it; nothing of the study depends on it.
  await writeJson(join(deploymentFolder, 'ready.json'), { configurationId: id, readyMs: context.now() - deployStartedAtMs }).catch(
    () => {},
  );
  emit({ type: 'deployed', configurationId: id, deploymentId, seconds: (context.now() - startedAtMs) / 1000 });
  return deployment;
}

/** The plan of a configuration; throws when it cannot be realized. */
export function planOf(project: Project, configuration: Configuration, live = false): Plan {
  const { plan, problems } = planDeployment(planRequest(project, configuration, live));
  if (!plan) throw new DmasError(problems);
  return plan;
}

/** Values of the secrets the plan names, and nothing else of this environment. */
export function secretsOf(plan: Plan): { [name: string]: string } {
  const names = new Set([...plan.units, ...plan.services].flatMap((member) => member.secrets ?? []));
  return Object.fromEntries([...names].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

/** One block: set sampling, drive load from a job of its own, take usage and spans, fold. */
async function measureBlock(
  { project, target, collector, folder }: LaboratoryOptions,
  deployment: Deployment,
  driverCode: string,
  reference: Reference,
  calls: Map<string, number>,
  request: BlockRequest,
  context: StageContext,
): Promise<MeasuredBlock> {
  await deployment.setSampling(request.samplingRatio);
  const samplesFile = folder.file(`samples/${request.id}.ndjson`);
  const stopFile = folder.file(`samples/${request.id}.stop`);
  const { models } = project.scenario.config;
  const job = loadJob({
    workload: project.workload,
    request,
    urls: deployment.jobUrls ?? deployment.ingressUrls,
    samplesFile,
    stopFile,
    graceMs,
    // Another model answers otherwise; whether as well is for right answers of the scenario's own, or its scores, to say.
    expected: otherModels(deployment.plan) ? undefined : reference.known()?.answers,
  });
  const incidentsBefore = deployment.incidents().length;
  const usageBefore = await deployment.usage();
  const statsBefore = await replayStats(deployment);
  const refusedBefore = await refusalsOf(deployment);
  const startedAtMs = context.now();
  const watch = await watchBlock({ sources: poolSources(deployment, models), stopFile, startedAtMs, now: context.now });
  const tooMuch = overCeiling(models, calls, job);
  if (tooMuch !== undefined) watch.takeOff(tooMuch);
  const running = target.runJob(
    {
      id: request.id,
      code: driverCode,
      input: job,
      folder: join(folder.file('deployments'), deployment.id),
      timeoutMs: request.warmupMs + request.durationMs + graceMs + jobMarginMs,
      writes: [samplesFile],
      watches: [stopFile],
    },
    context,
  ) as Promise<LoadResult | LoadUnwritten>;
  const result = await running.catch(async (error: unknown) => {
    await watch.end({ fromMs: 0, toMs: 0 });
    throw error;
  });
  const loadedAtMs = 'startedAtMs' in result ? (result.startedAtMs ?? startedAtMs) - startedAtMs : 0;
  const fromMs = loadedAtMs + request.warmupMs;
  const { pools, limit } = await watch.end({ fromMs, toMs: fromMs + request.durationMs });
  if ('disk' in result) fail('DMAS_ENV_DISK', `the samples of ${request.id} could not be written: ${result.disk}`);
  const usageAfter = await deployment.usage();
  const replay = replayFacts(statsBefore, await replayStats(deployment));
  const refusals = refusalsBetween(refusedBefore, await refusalsOf(deployment));
  await deployment.flushTraces();
  const { spans: sent } = collector.take(request.id);
  const spans = withForeign(sent, foreignComponents(deployment.plan));
  if (spans.length > 0) await writeTraces(folder.file(`traces/${request.id}.ndjson`), spans);
  const known = reference.known();
  const tapedTools = Object.values(studyEffects(project).policy.modes).includes('tape') ? (['replayed'] as const) : [];
  const block = foldBlock({
    id: request.id,
    purpose: request.purpose,
    configurationId: request.configurationId,
    deploymentId: deployment.id,
    round: request.round,
    seed: request.seed,
    startedAtMs,
    warmupMs: request.warmupMs,
    durationMs: request.durationMs,
    samplingRatio: request.samplingRatio,
    provenance: weakest([provenanceOf(deployment.plan), ...(replay?.synthetic ? ['simulated' as const] : []), ...tapedTools]),
    ...(replay === undefined ? {} : { replay, missRateLimit: project.scenario.config.workload.replay.missRate }),
    workflow: project.workflow,
    plan: deployment.plan,
    prices: project.scenario.config.prices,
    samples: await readSamples(samplesFile),
    load: result.facts,
    usageBefore,
    usageAfter,
    incidents: deployment
      .incidents()
      .slice(incidentsBefore)
      .map((incident) => ({ ...incident, atMs: incident.atMs - startedAtMs })),
    spans,
    pools,
    refusals,
    ...(limit === undefined ? {} : { poolLimit: limit }),
    ...(known === undefined || otherModels(deployment.plan) ? {} : { tokensUsdPerRequest: known.tokensUsdPerRequest }),
  });
  // Also of a block that could not measure: what was answered right does not depend on how busy the host was.
  const guarded = Object.values(models).some(({ protect }) => protect?.maxRequestsPerSecond !== undefined);
  if (guarded && request.samplingRatio === 1) for (const [model, count] of callsPerRequest(buildTraces(spans))) calls.set(model, count);
  const answered = Object.values(result.answers).some((hashes) => hashes.some((hash) => hash !== null));
  if (request.purpose === 'profile' && answered) {
    const requests = Object.values(block.classes).reduce((sum, each) => sum + each.requests, 0);
    await reference.learn({ answers: result.answers, tokensUsdPerRequest: requests > 0 ? block.money.tokensUsd / requests : 0 });
  }
  return { block, spans };
}

/** Some agent gets another model than it asks for. */
const otherModels = (plan: Plan): boolean => plan.units.some((unit) => plannedModelsOf(unit).some(({ chosen }) => chosen !== undefined));

/** As weak as the weakest model behind the plan; an application without a model is measured. */
function provenanceOf(plan: Plan): Provenance {
  const backends = plan.units.flatMap((unit) => plannedModelsOf(unit).map((model) => model.backend));
  return weakest(backends.map((id) => llmBackends.find((backend) => backend.id === id)?.traits.provenance ?? 'measured'));
}
