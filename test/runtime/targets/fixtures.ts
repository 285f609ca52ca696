import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle, Plan, PlannedService, PlannedUnit, StageContext } from '../../../compiler/contracts/index.ts';
import { freePort as keptPort } from '../../../runtime/targets/process/junction.ts';
import type { DeployRequest } from '../../../runtime/targets/target.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/units/${name}`, import.meta.url), 'utf8');
export const jobCode = fixture('job.mjs');

export type Behaviour = '' | 'fails' | 'never-ready' | 'silent' | 'deaf' | 'stubborn' | 'crashes-with-peers';

/** The stand-in unit under an id; `version` makes another bundle of the same behaviour. */
export function fixtureBundle(id: string, behaviour: Behaviour = '', version = 1): Bundle {
  const code = `/* version ${version} */ globalThis.behaviour = ${JSON.stringify(behaviour)};\n${fixture('unit.mjs')}`;
  const sha256 = createHash('sha256').update(code).digest('hex');
  return { id, code, entry: code, sha256, sizeBytes: code.length, modules: [] };
}

export interface UnitSketch {
  readonly id: string;
  readonly replicas?: number;
  readonly ingress?: boolean;
  readonly transport?: 'tcp' | 'unix';
  readonly secrets?: readonly string[];
  /** Ids of units, and addresses of services. */
  readonly calls?: readonly string[];
  readonly memoryMb?: number;
}

export const addressOf = (id: string, transport = 'tcp') => `unit://${id}/http-json${transport === 'unix' ? '?transport=unix' : ''}`;

export function fixturePlan(target: string, sketches: readonly UnitSketch[], services: readonly PlannedService[] = []): Plan {
  const transportOf = (id: string) => sketches.find((sketch) => sketch.id === id)?.transport ?? 'tcp';
  const units = sketches.map((sketch): PlannedUnit => {
    const { id, transport = 'tcp' } = sketch;
    return {
      id,
      agents: [id],
      toolServers: [],
      replicas: sketch.replicas ?? 1,
      resources: { vcpu: 0.5, memoryMb: sketch.memoryMb ?? 128 },
      listens: [{ protocol: 'http-json', options: { transport }, address: addressOf(id, transport) }],
      routes: (sketch.calls ?? []).map((to) => ({
        channel: `${id}-${to}`,
        from: id,
        to,
        protocol: 'http-json',
        options: {},
        address: to.includes('://') ? to : addressOf(to, transportOf(to)),
        repeatable: true,
        balancing: 'least-outstanding',
      })),
      topics: [],
      models: {},
      state: { store: 'memory', options: {} },
      secrets: sketch.secrets ?? [],
      ingress: sketch.ingress ?? false,
    };
  });
  const gateway = services.find((service) => service.kind === 'gateway');
  return {
    schemaVersion: 1,
    application: 'fixture',
    target,
    configurationId: 'c0ffee',
    units,
    services,
    ingress: {
      unit: sketches.find((sketch) => sketch.ingress)?.id ?? '',
      ...(gateway ? { gateway: `service://${gateway.id}` } : {}),
      entry: { kind: 'agent', agent: 'a' },
      deadlineMs: 10_000,
    },
  };
}

export const fixtureService = (id: string, kind: PlannedService['kind'] = 'model'): PlannedService => ({
  id,
  kind,
  replicas: 1,
  resources: { vcpu: 0.5, memoryMb: 128 },
  options: {},
});

export const bundlesOf = (plan: Plan, behaviours: { readonly [id: string]: Behaviour } = {}): Bundle[] =>
  [...plan.services, ...plan.units].map(({ id }) => fixtureBundle(id, behaviours[id]));

export const temporaryFolder = () => mkdtempSync(join(tmpdir(), 'dmas-test-'));

let deployments = 0;
export function fixtureRequest(plan: Plan, folder: string, rest: Partial<DeployRequest> = {}): DeployRequest {
  deployments += 1;
  return {
    deploymentId: `test-${process.pid}-${deployments}`,
    plan,
    bundles: bundlesOf(plan),
    otlpEndpoints: [],
    samplingRatio: 1,
    folder,
    environment: {},
    ingressPort: 0,
    readyTimeoutMs: 20_000,
    ...rest,
  };
}

export const testContext = (signal = new AbortController().signal): StageContext => ({ emit() {}, signal, now: Date.now, seed: 1 });

/** What a stand-in unit tells about itself. */
export interface Facts {
  readonly id: string;
  readonly replica: number;
  readonly instanceId: string;
  readonly pid: number;
  readonly environment: { readonly [name: string]: string };
  readonly otlpEndpoints: readonly string[];
  readonly stateDir: string;
  readonly samplingRatio: number;
  readonly flushes: number;
  readonly peers: { readonly [address: string]: readonly { readonly replica: number; readonly instanceId: string; readonly at: object }[] };
}

export function ask<T>(url: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(new URL(path, url), { method: 'POST', agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.on('end', () => resolve(JSON.parse(text) as T));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? '' : JSON.stringify(body));
  });
}
export const factsOf = (url: string) => ask<Facts>(url, '/');
/** Facts of every replica behind an address, asked through a unit at `url`. */
export const factsBehind = (url: string, address: string) => ask<Facts[]>(url, '/ask', { address });

export const connects = (url: string) =>
  factsOf(url).then(
    () => true,
    () => false,
  );

/** Processes that mention a text in their environment; the tests' own way to look, apart from the code under test. */
export function processesMentioning(text: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const dead = /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
        return pid !== process.pid && !dead && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(text);
      } catch {
        return false;
      }
    });
}

/** Containers and networks of a deployment, by the engine's own word. */
export async function dockerRemains(deploymentId: string): Promise<string[]> {
  const { default: Docker } = await import('dockerode');
  const docker = new Docker();
  const filters = JSON.stringify({ label: [`dmas-opt.deployment=${deploymentId}`] });
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  return [...containers.map(({ Names }) => `container ${Names[0]}`), ...networks.map(({ Name }) => `network ${Name}`)];
}

/** None of the kernel's own, which a busy host would have given away before it is used. */
export const freePort = () => keptPort('127.0.0.1');
