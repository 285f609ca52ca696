import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { z } from 'zod';
import type { AgentRef, GraphAgent, ToolServerDefinition, TopicRef } from '../../../compiler/api/definitions.ts';
import { brand } from '../../../compiler/api/definitions.ts';
import { httpUrl, type Peers, type ProcessBinding, type ReplicaAddress } from '../../../compiler/contracts/binding.ts';
import type { CallErrorValue } from '../../../compiler/contracts/call-errors.ts';
import type { EffectPolicy } from '../../../compiler/contracts/cassette.ts';
import type { PlannedIngress, PlannedTopic, PlannedUnit, Route } from '../../../compiler/contracts/plan.ts';
import { agentParts, declaredCalls, declaredTools, ingressComponent, type UnitProgram } from '../../../runtime/agent/program.ts';
import { startUnit } from '../../../runtime/agent/unit.ts';
import { type ChatModel, defineLlmBackend } from '../../../runtime/llm/backend.ts';
import type { StartedProcess } from '../../../runtime/process-life.ts';
import { httpJson } from '../../../runtime/protocols/http-json.ts';
import type { ProtocolDescriptor } from '../../../runtime/protocols/protocol.ts';
import { memory } from '../../../runtime/state/memory.ts';

/** An application and a layout of it, enough to make the programs a compiler would emit. */
export interface Application {
  readonly parts: UnitProgram['parts'];
  readonly toolServers?: readonly ToolServerDefinition[];
  readonly topics?: readonly { readonly ref: TopicRef; readonly subscribers: readonly string[] }[];
  readonly entry: AgentRef | { readonly publish: TopicRef; readonly complete: TopicRef };
  /** Units; the first takes the requests. */
  readonly groups: readonly (readonly string[])[];
  readonly replicas?: readonly number[];
  readonly balancing?: Route['balancing'];
  readonly repeatable?: boolean;
  readonly deadlineMs?: number;
  readonly queueLimit?: number;
  readonly drainMs?: number;
  readonly samplingRatio?: number;
  readonly model?: ChatModel;
  readonly protocol?: ProtocolDescriptor;
  readonly stubbedTools?: readonly string[];
  readonly effects?: EffectPolicy;
  /** Where other processes of the deployment are. */
  readonly peers?: Peers;
  /** Kept when it is given. */
  readonly stateDir?: string;
}

export interface Replica extends StartedProcess {
  readonly unit: string;
  readonly replica: number;
  readonly instanceId: string;
  readonly control: string;
}

export interface Deployed {
  /** Base URLs of the ingress, in replica order. */
  readonly urls: readonly string[];
  readonly replicas: readonly Replica[];
  readonly spans: InMemorySpanExporter;
  readonly peers: Peers;
  ask(input: unknown, headers?: { readonly [name: string]: string }, url?: string): Promise<Answer>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

export const errorOf = (answer: Answer) => answer.body as CallErrorValue;

export async function deploy(application: Application): Promise<Deployed> {
  const spans = new InMemorySpanExporter();
  const stateDir = await mkdtemp(join(tmpdir(), 'dmas-unit-'));
  const programs = application.groups.map((_, index) => programOf(application, index));
  const replicas: Replica[] = [];
  for (const [index, program] of programs.entries()) {
    for (let replica = 0; replica < (application.replicas?.[index] ?? 1); replica++) {
      const binding = bindingOf(application, program, replica, application.stateDir ?? stateDir);
      const started = await startUnit(program, binding, { spanProcessors: [new SimpleSpanProcessor(spans)] });
      replicas.push({
        ...started,
        unit: program.unit.id,
        replica,
        instanceId: binding.instanceId,
        control: httpUrl(started.report.control),
      });
    }
  }
  const peers = { ...application.peers, ...peersOf(replicas) };
  await Promise.all(replicas.map((replica) => control(replica, 'PUT', '/peers', peers)));
  const urls = replicas.flatMap(({ report }) => (report.listen.ingress === undefined ? [] : [httpUrl(report.listen.ingress)]));
  return {
    urls,
    replicas,
    spans,
    peers,
    ask: (input, headers = {}, url = urls[0]) => ask(url ?? '', input, headers),
    close: async () => {
      await Promise.all(replicas.map((replica) => replica.close()));
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

export async function ask(url: string, input: unknown, headers: { readonly [name: string]: string } = {}): Promise<Answer> {
  const body = typeof input === 'string' ? input : JSON.stringify(input);
  const response = await fetch(`${url}/`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
}

export async function control(
  replica: { readonly control: string },
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: never }> {
  const response = await fetch(`${replica.control}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return { status: response.status, body: (await response.json()) as never };
}

export function peersOf(replicas: readonly Replica[]): Peers {
  const peers: { [address: string]: ReplicaAddress[] } = {};
  for (const { report, replica, instanceId } of replicas) {
    for (const [address, at] of Object.entries(report.listen)) {
      peers[address] ??= [];
      peers[address]?.push({ replica, instanceId, at });
    }
  }
  return peers;
}

export function bindingOf(application: Application, program: UnitProgram, replica: number, stateDir: string): ProcessBinding {
  const free = { host: '127.0.0.1', port: 0 };
  const addresses = [...program.unit.listens.map(({ address }) => address), ...(program.unit.ingress ? ['ingress'] : [])];
  return {
    ...(application.stubbedTools === undefined ? {} : { stubbedTools: application.stubbedTools }),
    ...(application.effects === undefined ? {} : { effects: application.effects }),
    deploymentId: 'test',
    id: program.unit.id,
    replica,
    instanceId: `${program.unit.id}.${replica}`,
    control: free,
    listen: Object.fromEntries(addresses.map((address) => [address, free])),
    peers: {},
    otlpEndpoints: [],
    samplingRatio: application.samplingRatio ?? 0,
    stateDir,
    queueLimit: application.queueLimit ?? 1000,
    drainMs: application.drainMs ?? 2000,
  };
}

export function programOf(application: Application, index: number): UnitProgram {
  const group = application.groups[index] ?? [];
  const graphs = application.parts.filter((part): part is GraphAgent => part[brand] === 'graph-agent');
  const servers = application.toolServers ?? [];
  const unit = unitOf(application, index);
  const entry = brand in application.entry ? application.entry : undefined;
  return {
    application: 'test-application',
    unit,
    ingress: ingressOf(application),
    parts: application.parts.filter((part) => part[brand] !== 'code-tool' || toolBelongs(application, part.ref.name, group)),
    toolServers: servers,
    topics: (application.topics ?? []).map(({ ref }) => ref),
    entry,
    protocols: [application.protocol ?? httpJson],
    backends: [backendOf(application)],
    store: memory,
    graphs: graphs.filter((graph) => group.includes(graph.ref.name) || graph.options.nodes.some((node) => group.includes(node.name))),
  };
}

function ingressOf(application: Application): PlannedIngress {
  const { entry } = application;
  return {
    unit: 'unit0',
    deadlineMs: application.deadlineMs ?? 10_000,
    entry:
      brand in entry ? { kind: 'agent', agent: entry.name } : { kind: 'topic', publish: entry.publish.name, complete: entry.complete.name },
  };
}

function toolBelongs(application: Application, tool: string, group: readonly string[]): boolean {
  const server = application.toolServers?.find(({ tools }) => tools.some(({ name }) => name === tool));
  return server === undefined || group.includes(server.name);
}

const protocolOf = (application: Application) => application.protocol ?? httpJson;
const addressOf = (application: Application, index: number) => `unit://unit${index}/${protocolOf(application).id}`;

function unitOf(application: Application, index: number): PlannedUnit {
  const group = application.groups[index] ?? [];
  const servers = new Set((application.toolServers ?? []).map(({ name }) => name));
  return {
    id: `unit${index}`,
    agents: group.filter((name) => !servers.has(name)),
    toolServers: group.filter((name) => servers.has(name)),
    replicas: application.replicas?.[index] ?? 1,
    resources: { vcpu: 1, memoryMb: 256 },
    listens: [{ protocol: protocolOf(application).id, options: {}, address: addressOf(application, index) }],
    routes: routesOf(application, index),
    topics: topicsOf(application),
    models:
      application.model === undefined
        ? {}
        : { main: { backend: 'scripted', address: 'http://model.invalid', model: 'scripted-1', options: {} } },
    state: { store: 'memory', options: {} },
    secrets: [],
    ingress: index === 0,
  };
}

function topicsOf(application: Application): PlannedTopic[] {
  const complete = brand in application.entry ? undefined : application.entry.complete.name;
  return (application.topics ?? []).map(({ ref, subscribers }) => ({
    name: ref.name,
    delivery: ref.delivery,
    subscribers: ref.name === complete ? [...subscribers, ingressComponent] : subscribers,
  }));
}

/** A route for every declared pair that crosses units. */
function routesOf(application: Application, index: number): Route[] {
  const group = new Set(application.groups[index]);
  const home = (component: string) =>
    component === ingressComponent ? 0 : application.groups.findIndex((members) => members.includes(component));
  const pairs = channels(application).filter(
    ({ from, to }) => (group.has(from) || (from === ingressComponent && index === 0)) && home(to) !== index,
  );
  return pairs.map(({ channel, from, to }) => ({
    channel,
    from,
    to,
    protocol: protocolOf(application).id,
    options: {},
    address: addressOf(application, home(to)),
    repeatable: application.repeatable ?? false,
    balancing: application.balancing ?? 'least-outstanding',
  }));
}

function channels(application: Application): { channel: string; from: string; to: string }[] {
  const everyUnit = { ...programShell, parts: application.parts, unit: { ...programShell.unit, agents: application.groups.flat() } };
  const servers = application.toolServers ?? [];
  const pair = (from: string, to: string) => ({ channel: `${from}->${to}`, from, to });
  const agents = agentParts(everyUnit as unknown as UnitProgram);
  const declared = agents.flatMap((part) => [
    ...declaredCalls(part).map((ref) => pair(part.ref.name, ref.name)),
    ...declaredTools(part).flatMap((tool) =>
      servers.filter(({ tools }) => tools.some(({ name }) => name === tool.name)).map(({ name }) => pair(part.ref.name, name)),
    ),
    ...(part[brand] === 'graph-agent' ? graphPairs(part).map(([from, to]) => pair(from, to)) : []),
  ]);
  const complete = brand in application.entry ? undefined : application.entry.complete.name;
  const topics = (application.topics ?? []).flatMap(({ ref, subscribers }) => {
    const to = ref.name === complete ? [...subscribers, ingressComponent] : subscribers;
    const from = agents
      .filter((part) => part[brand] === 'code-agent' && part.options.publishes?.some(({ name }) => name === ref.name))
      .map((part) => part.ref.name);
    return [...from, ingressComponent].flatMap((publisher) =>
      to.map((subscriber) => ({ channel: `topic:${ref.name}`, from: publisher, to: subscriber })),
    );
  });
  const entry = brand in application.entry ? [pair(ingressComponent, application.entry.name)] : [];
  return [...declared, ...topics, ...entry];
}

function graphPairs(graph: GraphAgent): [string, string][] {
  const list = <T>(value: T | readonly T[]) => (Array.isArray(value) ? value : [value]) as readonly T[];
  const names = (targets: readonly unknown[]) =>
    targets.flatMap((target) => (typeof target === 'string' ? [] : [(target as AgentRef).name]));
  return graph.options.edges.flatMap((edge) => {
    const targets = 'to' in edge ? names(list(edge.to as AgentRef)) : names(edge.among);
    return names(list(edge.from as AgentRef)).flatMap((from) => targets.map((to): [string, string] => [from, to]));
  });
}

const programShell = { graphs: [], unit: { agents: [] as string[] } };

function backendOf(application: Application) {
  return defineLlmBackend({
    id: 'scripted',
    title: 'Scripted replies',
    options: z.strictObject({}),
    traits: { deployed: false, provenance: 'simulated' },
    load: async () => ({
      connect: () => application.model ?? { chat: () => Promise.reject(new Error('no model in this test')) },
    }),
  });
}

/** A promise and the means to settle it. */
export function latch<T = void>() {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Waits until a condition holds, for at most five seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the condition did not come true');
}
