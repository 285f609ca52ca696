import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deployConfiguration } from '../../cli/laboratory.ts';
import { openScenario, openTarget, type Project } from '../../cli/project.ts';
import { runFolder } from '../../cli/run-folder.ts';
import {
  type ChannelConfiguration,
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  DmasError,
  edgesOf,
  fromPartition,
  type SpanRecord,
} from '../../compiler/contracts/index.ts';
import { eachPartition } from '../../optimizer/space/partitions.ts';
import { otlp } from '../../profiler/collect/otlp.ts';
import { ingressHeaders } from '../../profiler/load/job.ts';
import type { Deployment } from '../../runtime/targets/target.ts';
import { loadScenario } from '../../scenarios/load.ts';
import { type CoverCase, type CoverInput, crossing, type Groups } from './pairwise.ts';

/** What every example is tried with between units. */
export const wires: { readonly [name: string]: ChannelConfiguration } = {
  'http-json': { protocol: 'http-json', options: {} },
  'http-json over unix sockets': { protocol: 'http-json', options: { transport: 'unix' } },
  grpc: { protocol: 'grpc', options: {} },
};

export const examples = [
  'document-pipeline',
  'group-chat',
  'mixed-load',
  'openai-agents-triage',
  'support-desk',
  'travel-planner',
  'weather-news',
] as const;

export const scenarioFolder = (name: string): string => fileURLToPath(new URL(`../../scenarios/${name}`, import.meta.url));

/** A scenario ready to be deployed in any layout, traced in full. */
export interface Bench {
  readonly project: Project;
  /** Deploys, hands the application over, and takes it down whatever happens. */
  with<T>(configuration: Configuration, use: (application: Application) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Application {
  readonly deployment: Deployment;
  /** The block that requests must name for their spans to be found. */
  readonly block: string;
  /** Sends one request and waits for its answer. */
  ask(request: Request): Promise<Answer>;
  /** Everything traced and exported so far. */
  spans(): Promise<readonly SpanRecord[]>;
}

export interface Request {
  /** Also names the request in its trace. */
  readonly id: string;
  readonly input: unknown;
  readonly session?: string;
  readonly stream?: boolean;
}

export interface Answer {
  readonly status: number;
  /** Canonical JSON of the output, or of the error. */
  readonly output: string;
  /** Streamed text, joined: where a reply is cut into chunks is the transport's business. */
  readonly streamed: string;
}

/** Opens a scenario file; `store` overrides where it keeps state. `quick` models say the same in a tenth of the time. */
export async function openBench(file: string, store?: string, quick = false): Promise<Bench> {
  const { scenario, problems } = await loadScenario(file, process.env);
  if (scenario === undefined) throw new DmasError(problems);
  const models = Object.entries(scenario.config.models).map(([name, model]) => {
    const options = quick && model.backend === 'simulated' ? { ...model.options, stepFixedMs: 0.2 } : model.options;
    return [name, { ...model, options }] as const;
  });
  const state = store === undefined ? scenario.config.state : { store, options: {} };
  const config = { ...scenario.config, models: Object.fromEntries(models), state };
  const project = await openScenario({ ...scenario, config });
  const target = await openTarget(project);
  const collector = await (await otlp.load()).start('127.0.0.1');
  const path = await mkdtemp(join(tmpdir(), 'dmas-placements-'));
  const folder = runFolder(path, `placements-${path.slice(-4)}`);
  await mkdir(folder.file('deployments'), { recursive: true });
  const context = { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: config.seed };
  let deployments = 0;

  return {
    project,
    async with(configuration, use) {
      deployments += 1;
      const id = `${folder.id}-${deployments}`;
      const deployment = await deployConfiguration({ project, target, collector, folder, context }, configuration, id, context);
      try {
        await deployment.setSampling(1);
        const traced: SpanRecord[] = [];
        return await use({
          deployment,
          block: id,
          ask: (request) => ask(deployment, id, request),
          spans: async () => {
            await deployment.flushTraces();
            traced.push(...collector.take(id).spans);
            return traced;
          },
        });
      } finally {
        await deployment.stop();
      }
    },
    close: async () => {
      await collector.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function ask({ ingressUrls }: Deployment, block: string, request: Request): Promise<Answer> {
  const { input, session, stream } = request;
  const response = await fetch(`${ingressUrls[0]}/`, {
    method: 'POST',
    body: JSON.stringify(input),
    headers: {
      'content-type': 'application/json',
      [ingressHeaders.block]: block,
      [ingressHeaders.request]: request.id,
      ...(session === undefined ? {} : { [ingressHeaders.session]: session }),
      ...(stream ? { accept: 'text/event-stream' } : {}),
    },
  });
  const text = await response.text();
  if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
    return { status: response.status, output: canonicalJson(JSON.parse(text)), streamed: '' };
  const events = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice('data: '.length)) as { chunk?: unknown; output?: unknown; error?: unknown });
  const last = events.at(-1);
  const streamed = events.flatMap(({ chunk }) => (chunk === undefined ? [] : [typeof chunk === 'string' ? chunk : canonicalJson(chunk)]));
  return { status: response.status, output: canonicalJson(last?.output ?? last?.error ?? null), streamed: streamed.join('') };
}

/** What the cover of a project ranges over: all partitions its constraints allow, and every wire. */
export function coverInputOf({ space, workflow }: Project): CoverInput {
  const partitions: Groups[] = [];
  eachPartition(space, { leaf: (groups) => void partitions.push(groups.map((group) => [...group].sort())) });
  return { components: space.components, edges: edgesOf(workflow), partitions, protocols: Object.keys(wires) };
}

/** The configuration of a covered layout; channels inside units keep the default. */
export function configurationOf({ workflow, defaults }: Project, { groups, channels }: CoverCase): Configuration {
  const plain = fromPartition(workflow, groups, defaults);
  const chosen = Object.entries(channels).map(([id, name]) => {
    const wire = wires[name];
    if (wire === undefined) throw new RangeError(`there is no wire "${name}"`);
    return [id, wire] as const;
  });
  return canonicalConfiguration({ ...plain, channels: { ...plain.channels, ...Object.fromEntries(chosen) } });
}

/** One layout in which every channel that crosses units speaks the same. */
export const uniform = (project: Project, groups: Groups, wire: string): CoverCase => ({
  groups,
  channels: Object.fromEntries(crossing(edgesOf(project.workflow), groups).map((id) => [id, wire])),
});

/** A layout in one line, for the name of a test. */
export const describeCase = ({ groups, channels }: CoverCase): string =>
  `${groups.map((group) => group.join('+')).join(' | ')}${Object.entries(channels)
    .map(([id, wire]) => `, ${id} ${wire.replace(' over ', '/').replace(' sockets', '')}`)
    .join('')}`;
