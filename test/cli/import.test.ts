import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { importSystem } from '../../cli/commands/import.ts';
import { openProject } from '../../cli/project.ts';

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
