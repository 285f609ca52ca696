import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type Bundle,
  type Configuration,
  configurationId,
  DmasError,
  fail,
  failuresOf,
  type StageContext,
} from '../../compiler/contracts/index.ts';
import type { Deployment, UpdatePhase } from '../../runtime/targets/target.ts';
import { secretsOf } from '../laboratory.ts';
import { toolVersion } from '../package-files.ts';
import type { Project } from '../project.ts';
import { type RunFolder, writeJson } from '../run-folder.ts';
import type { ApplyRequest, LiveEvent, LiveFacts, LiveHealth, LiveOutcome } from './contract.ts';
import { announce } from './registry.ts';
import { startLiveServer } from './server.ts';
import { TallyReader, type WatchReport, watchLive } from './watch.ts';

interface Served {
  readonly project: Project;
  readonly folder: RunFolder;
  readonly configuration: Configuration;
  readonly bundles: readonly Bundle[];
}

/** Keeps a deployment up until the signal, and lets others change it meanwhile. Stopping it is the caller's. */
export async function serveLive(deployment: Deployment, served: Served, context: StageContext): Promise<void> {
  const { project, folder } = served;
  const scenarioFile = resolve(project.scenario.file);
  const common = { deploymentId: deployment.id, name: project.scenario.name, scenarioFile, target: project.target.id };
  const startedAtMs = context.now();
  const announcement = announce({ ...common, startedAtMs }, folder.path);
  const reader = new TallyReader(deployment);
  let { configuration } = served;
  let code = codeOf(served.bundles);
  let changing: { phase: UpdatePhase; readonly interrupt: AbortController; readonly over: Promise<unknown> } | null = null;

  const facts = async (): Promise<LiveFacts> => ({
    ...common,
    toolVersion: toolVersion(),
    folder: folder.path,
    startedAtMs,
    ingressUrls: deployment.ingressUrls,
    configurationId: configurationId(configuration),
    configuration,
    plan: deployment.plan,
    code,
    health: await healthOf(deployment, reader),
    changing: changing?.phase ?? null,
  });

  const apply = (wanted: ApplyRequest, tell: (event: LiveEvent) => void): Promise<LiveOutcome> => {
    if (changing !== null) fail('DMAS_LIVE_BUSY', 'this deployment is being changed already');
    if (wanted.toolVersion !== toolVersion())
      fail('DMAS_LIVE_BUSY', `the deployment was started by dmas-opt ${toolVersion()}, this is ${wanted.toolVersion}`, {
        fix: 'Use the version that started it, or start the deployment anew.',
      });
    const interrupt = new AbortController();
    const over = change(deployment, reader, wanted, { ...context, signal: interrupt.signal }, (event) => {
      if (event.type === 'phase' && changing !== null) changing.phase = event.phase;
      tell(event);
    }).then(async (outcome) => {
      if (outcome.serves === 'new') {
        configuration = wanted.configuration;
        code = codeOf(wanted.bundles);
      }
      changing = null;
      await remember(folder, context, wanted.configuration, outcome);
      return outcome;
    });
    changing = { phase: 'prepare', interrupt, over };
    return over;
  };

  const server = await startLiveServer(announcement.socket, { facts, apply, interrupt: () => changing?.interrupt.abort() });
  announcement.publish();
  try {
    await writeJson(folder.file('configuration.json'), configuration).catch(() => {});
    if (!context.signal.aborted) await new Promise<void>((done) => context.signal.addEventListener('abort', () => done(), { once: true }));
    // The deployment goes now, whichever layout it has.
    const under = changing as { readonly interrupt: AbortController; readonly over: Promise<unknown> } | null;
    under?.interrupt.abort();
  } finally {
    announcement.withdraw();
    await server.close();
  }
}

async function change(
  deployment: Deployment,
  reader: TallyReader,
  { plan, bundles, watch }: ApplyRequest,
  context: StageContext,
  tell: (event: LiveEvent) => void,
): Promise<LiveOutcome> {
  let report: WatchReport | null = null;
  const before = await reader.read();
  const steps = {
    entered: (phase: UpdatePhase, detail: string) => {
      tell({ type: 'phase', phase, detail });
      context.emit({ type: 'notice', severity: 'info', message: `apply, ${phase}: ${detail}` });
    },
    ...(watch.durationMs <= 0
      ? {}
      : {
          watch: async (signal: AbortSignal) => {
            const tick = ({ requests, failures }: Pick<WatchReport, 'requests' | 'failures'>, secondsLeft: number) =>
              tell({ type: 'watching', secondsLeft, requests, failures });
            report = await watchLive(reader, before, watch, tick, signal);
            const back = report.verdict === 'broken' || (report.verdict === 'undecided' && watch.insist);
            return back ? report.reason : null;
          },
        }),
  };
  try {
    await deployment.update({ plan, bundles, environment: secretsOf(plan) }, context, steps);
    return { serves: 'new', failure: null, watch: report };
  } catch (error) {
    const code = error instanceof DmasError ? error.code : 'DMAS_INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    context.emit({ type: 'notice', severity: 'warning', message });
    return { serves: 'old', failure: { code, message }, watch: report };
  }
}

async function healthOf(deployment: Deployment, reader: TallyReader): Promise<LiveHealth> {
  const [usage, stats, tally] = await Promise.all([deployment.usage(), deployment.stats(), reader.read()]);
  const counts = Object.values(tally.classes);
  return {
    replicas: usage.length,
    answering: stats.filter(({ stats: said }) => said !== null).length,
    restarts: usage.reduce((sum, { restarts }) => sum + restarts, 0),
    requests: counts.reduce((sum, { requests }) => sum + requests, 0),
    failures: counts.reduce((sum, each) => sum + failuresOf(each), 0),
  };
}

/** What was done, for people; a full disk does not undo it. */
async function remember(folder: RunFolder, context: StageContext, configuration: Configuration, outcome: LiveOutcome): Promise<void> {
  const atMs = context.now();
  try {
    await mkdir(folder.file('applied'), { recursive: true });
    await writeJson(folder.file(join('applied', `${atMs}.json`)), { atMs, configuration, outcome });
    if (outcome.serves === 'new') await writeJson(folder.file('configuration.json'), configuration);
  } catch (error) {
    context.emit({ type: 'notice', severity: 'warning', message: `not written down: ${(error as Error).message}` });
  }
}

const codeOf = (bundles: readonly Bundle[]) => Object.fromEntries(bundles.map(({ id, sha256 }) => [id, sha256]));
