import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { importSystem } from '../../cli/commands/import.ts';
import { openProject } from '../../cli/project.ts';
import { freePort as keptPort } from '../../runtime/targets/process/junction.ts';
import { sharedData } from '../profiler/analyze/foreign/fixture.ts';
import { agent, chat, hop, otlpLines, request, type SpanSpec } from '../profiler/analyze/otlp-file.ts';

let folder: string;
let said: string;
const servers: Server[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-import-'));
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await Promise.all(servers.splice(0).map((server) => new Promise((closed) => server.close(closed))));
  await rm(folder, { recursive: true, force: true });
});

const put = async (name: string, content: unknown) => {
  const file = join(folder, name);
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
};
const out = () => join(folder, 'draft');
const draftOf = async (sources: readonly string[], force = false) => {
  expect(await importSystem(sources, { out: out(), force })).toBe(0);
  return openProject(join(out(), 'scenario.yaml'));
};
const serve = async (answer: (path: string) => { readonly status: number; readonly body: unknown } | undefined) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const { status, body } = answer(request.url ?? '') ?? { status: 404, body: { message: 'not found' } };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
};

describe('import', () => {
  it('of a compose file gives a draft that validates, with the present layout as its baseline', async () => {
    const file = await put('compose.yaml', {
      services: {
        planner: { image: 'acme/planner', environment: { RESEARCH: 'http://research:8001' }, ports: ['8080:80'] },
        research: { image: 'acme/research', deploy: { replicas: 3 }, environment: { API_KEY: 'plain-secret' } },
      },
    });
    const { workflow, scenario } = await draftOf([file]);
    expect(workflow.entry).toEqual({ kind: 'agent', agent: 'planner' });
    expect(workflow.channels.map(({ id }) => id)).toContain('planner->research');
    expect(workflow.agents.map(({ mobility }) => mobility)).toEqual(['replicasOnly', 'replicasOnly']);
    expect(scenario.config.baseline.layout).toMatchObject([{ components: ['planner'] }, { components: ['research'], replicas: 3 }]);
    const text = await readFile(join(out(), 'scenario.yaml'), 'utf8');
    expect(text).toMatch(/replicas only, /);
    expect(text).not.toContain('plain-secret');
    expect(said).toMatch(/Open questions/);
  });

  it('of an agent card from its server gives an external agent that may get next to nothing', async () => {
    const { url, asked } = await serve((path) =>
      path === '/.well-known/agent-card.json'
        ? {
            status: 200,
            body: {
              name: 'Legal',
              capabilities: {},
              skills: [],
              supportedInterfaces: [{ url: 'http://legal.example', protocolBinding: 'JSONRPC', protocolVersion: '1.0' }],
            },
          }
        : undefined,
    );
    const { workflow, scenario } = await draftOf([url]);
    expect(asked).toEqual(['GET /.well-known/agent-card.json']);
    expect(workflow.agents).toMatchObject([{ name: 'legal', mobility: 'external', elsewhere: { speaks: 'a2a' } }]);
    expect(scenario.config.agents.legal?.external).toMatchObject({ maxRate: 1, maxConcurrency: 1 });
  });

  it('of a namespace only lists, never asks for secrets, and notes what is forbidden', async () => {
    const labels = { app: 'router' };
    const deployment = {
      metadata: { name: 'router' },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'acme/router' }] } },
      },
    };
    const { url, asked } = await serve((path) => {
      if (path.includes('/horizontalpodautoscalers')) return { status: 403, body: { kind: 'Status', code: 403 } };
      // Two pages, as a large namespace has.
      if (path.includes('/deployments')) {
        const second = path.includes('continue=');
        return { status: 200, body: { items: second ? [deployment] : [], metadata: second ? {} : { continue: 'next' } } };
      }
      return { status: 200, body: { items: [], metadata: {} } };
    });
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    vi.stubEnv('KUBECONFIG', await put('kubeconfig', stringify(config)));
    const { workflow, scenario } = await draftOf(['kubernetes:agents']);
    expect(workflow.agents.map(({ name }) => name)).toEqual(['router']);
    expect(scenario.config.baseline.layout).toMatchObject([{ components: ['router'], replicas: 2 }]);
    expect(said).toMatch(/horizontalpodautoscalers: forbidden/);
    expect(asked.every((line) => line.startsWith('GET ') && line.includes('/namespaces/agents/'))).toBe(true);
    expect(asked.join()).not.toContain('secrets');
  });

  it('without a cluster says how to choose one', async () => {
    const config = { apiVersion: 'v1', kind: 'Config', clusters: [], users: [], contexts: [] };
    vi.stubEnv('KUBECONFIG', await put('kubeconfig', stringify(config)));
    await expect(importSystem(['kubernetes:agents'], { out: out() })).rejects.toMatchObject({ code: 'DMAS_ENV_TARGET' });
  });

  it('never writes over what is there unless told to', async () => {
    const file = await put('compose.yaml', { services: { a: { image: 'acme/a' } } });
    await draftOf([file]);
    await writeFile(join(out(), 'workflow.yaml'), 'mine');
    await expect(importSystem([file], { out: out() })).rejects.toMatchObject({ code: 'DMAS_CLI_USAGE' });
    expect(await readFile(join(out(), 'workflow.yaml'), 'utf8')).toBe('mine');
    await draftOf([file], true);
  });

  it.each([
    ['absent.yaml', undefined, /no such file/],
    ['empty.yaml', { services: { db: { image: 'postgres' } } }, /names nothing that could be an agent/],
    ['broken.yaml', 'services: {a: [', /broken\.yaml:1: /],
    ['junk.json', '{"graphs": 7}', /not a langgraph\.json/],
  ])('of %s says what is wrong and leaves nothing', async (name, content, message) => {
    const file = content === undefined ? join(folder, name) : await put(name, content);
    await expect(importSystem([file], { out: out() })).rejects.toThrow(message);
    await expect(readFile(join(out(), 'scenario.yaml'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('gives a draft that validates whatever a compose file deploys', async () => {
    const names = fc.constantFrom('planner', 'Research_Agent', 'guide.v2', '1st', 'db', 'writer');
    const service = fc.record({
      image: fc.option(fc.constantFrom('acme/agent:1', 'postgres:16', 'vllm/vllm-openai'), { nil: undefined }),
      environment: fc.dictionary(
        fc.constantFrom('PEER', 'OTHER_URL', 'OPENAI_BASE_URL', 'API_KEY', 'PORT', 'lower-case.name', 'EMPTY'),
        fc.oneof(
          names.map((name) => `http://${name}:80/x`),
          fc.constantFrom('', '1', 'true', '${X}', '${X:-y}', ': # "quoted"', 'null'),
        ),
      ),
      ports: fc.subarray(['8080:80', '9000']),
      depends_on: fc.subarray(['planner', 'db', 'gone']),
      deploy: fc.option(fc.record({ replicas: fc.integer({ min: 0, max: 9 }) }), { nil: undefined }),
    });
    const property = fc.asyncProperty(fc.dictionary(names, service, { minKeys: 1 }), async (services) => {
      const file = await put('compose.yaml', stringify(JSON.parse(JSON.stringify({ services }))));
      const code = await importSystem([file], { out: out(), force: true }).catch((error: Error) => error.message);
      if (typeof code === 'string') expect(code).toMatch(/names nothing that could be an agent/);
      else await openProject(join(out(), 'scenario.yaml'));
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

describe('import of traces', () => {
  const draftText = () => readFile(join(out(), 'scenario.yaml'), 'utf8');
  /** The comment above an agent of the draft: what may be done with it, and why. */
  const freedomOf = (text: string, name: string) => new RegExp(`# (.+)\\n  ${name}:`).exec(text)?.[1];

  /** A Node.js planner asks a model, a Python researcher with two replicas, and somebody who sends no spans. */
  const trip = (_: unknown, i: number): SpanSpec => ({
    ...request(
      agent('Trip_Planner', {
        at: 0,
        ms: 400,
        children: [
          chat('Trip_Planner', 5, 100),
          hop('Trip_Planner', 110, agent('researcher', { at: 115, ms: 100, language: 'python', instance: `researcher-${i % 2}` }), 10),
          {
            name: 'POST',
            kind: 'client',
            at: 300,
            ms: 50,
            service: 'Trip_Planner',
            attributes: { 'http.request.method': 'POST', 'server.address': 'legal.example', 'url.path': '/ask' },
          },
        ],
      }),
    ),
  });

  it('says of each agent what may be done with it and why, keeps edges and replicas as seen, and asks the rest', async () => {
    const file = await put('traces.json', otlpLines(Array.from({ length: 10 }, trip), 200));
    const { workflow, scenario } = await draftOf([file]);
    const text = await draftText();
    expect(freedomOf(text, 'trip-planner')).toMatch(/^Trip_Planner: movable, it runs on Node\.js/);
    expect(freedomOf(text, 'researcher')).toMatch(/^replicas only, /);
    expect(freedomOf(text, 'legal-example')).toMatch(/external, /);
    expect(workflow.entry).toEqual({ kind: 'agent', agent: 'trip-planner' });
    expect(workflow.channels.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['trip-planner->researcher', 'trip-planner->legal-example']),
    );
    expect(scenario.config.baseline.layout).toEqual(
      expect.arrayContaining([expect.objectContaining({ components: ['researcher'], replicas: 2 })]),
    );
    for (const asked of [
      'How is researcher started?',
      'Which environment variable tells trip-planner where researcher is?',
      'Is there a compose file',
      'What do users really send?',
    ]) {
      expect(said).toContain(asked);
      expect(text).toContain(asked);
    }
  });

  it('beside a compose file asks for the image of whom only the traces know, so that one target starts all', async () => {
    const file = await put('traces.json', otlpLines(Array.from({ length: 10 }, trip), 200));
    const compose = await put('compose.yaml', { services: { trip_planner: { image: 'acme/planner', ports: ['8080:80'] } } });
    const { scenario } = await draftOf([compose, file]);
    expect(scenario.config).toMatchObject({ target: { kind: 'docker' }, agents: { researcher: { image: 'how-is-it-started' } } });
    expect(said).toContain('Put its image in place of');
    expect(said).toContain('How is researcher started?');
  });

  const sales = sharedData('jaeger', 'deathstarbench.json');
  it.skipIf(sales === null)('of services of others, 1.8 MB of them (needs shared/data beside the checkout)', async () => {
    const { workflow, scenario } = await draftOf([sales ?? '']);
    const text = await draftText();
    const names = workflow.agents.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(freedomOf(text, name), name).toMatch(/(movable|replicas only|external), \S/);
    const channels = workflow.channels.filter(({ kind }) => kind === 'agent');
    expect(channels.length).toBeGreaterThan(5);
    for (const name of names.filter((each) => workflow.entry.kind === 'agent' && each !== workflow.entry.agent))
      expect(
        channels.some(({ to }) => to.includes(name)),
        name,
      ).toBe(true);
    expect(Object.keys(scenario.config.agents).sort()).toEqual([...names].sort());
    expect(said).toContain('How is');
  });

  it('can listen for them, as the analysis does', async () => {
    const [httpPort, grpcPort] = [await freePort(), await freePort()];
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const draft = importSystem(['otlp'], { out: out(), for: 3_000, httpPort, grpcPort });
    const post = (body: string) =>
      fetch(`http://127.0.0.1:${httpPort}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const lines = otlpLines(Array.from({ length: 4 }, trip), 200)
      .trim()
      .split('\n');
    for (const line of lines) await vi.waitFor(async () => expect((await post(line)).status).toBe(200), { timeout: 2_500 });
    expect(await draft).toBe(0);
    const { workflow } = await openProject(join(out(), 'scenario.yaml'));
    expect(workflow.agents.map(({ name }) => name)).toContain('researcher');
  });
});

/** None of the kernel's own, which a busy host would have given away before it is used. */
const freePort = () => keptPort('127.0.0.1');

describe('import of a langgraph.json', () => {
  const graphOf = async (code: string) => {
    await put('langgraph.json', { graphs: { Help_Desk: './graph.ts:app' } });
    await put('graph.ts', code);
    expect(await importSystem([join(folder, 'langgraph.json')], { out: out(), force: true })).toBe(0);
    return parse(await readFile(join(out(), 'scenario.yaml'), 'utf8'));
  };

  it.each([
    ['a prebuilt state of messages', 'new StateGraph(MessagesAnnotation)', 'messages'],
    ['an annotation of its own', 'Annotation.Root({ rounds: Annotation<number>, topic: Annotation<string> })', 'topic'],
    ['a zod object', "z.object({ question: z.string().describe('x') })", 'question'],
    ['nothing that tells', 'makeGraph()', 'messages'],
  ])('with %s sends an input of that shape, from one process, to a model that costs nothing', async (_what, code, key) => {
    const draft = await graphOf(code);
    expect(Object.keys(draft.workload.inputs[0])).toEqual([key]);
    expect(draft).toMatchObject({
      name: 'help-desk',
      workflow: '../langgraph.json#Help_Desk',
      baseline: { layout: 'all-in-one' },
      models: { main: { backend: 'simulated' } },
    });
    expect(said).toContain('models.main says');
  });
});
