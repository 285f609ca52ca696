import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foundInAgentCard } from '../../../compiler/import/agent-card.ts';
import { foundInCompose } from '../../../compiler/import/compose.ts';
import { type FoundSystem, scenarioName } from '../../../compiler/import/found.ts';
import { joinSystems } from '../../../compiler/import/join.ts';
import { foundInNamespace, type NamespaceObjects, quantityOf } from '../../../compiler/import/kubernetes.ts';
import { foundInLanggraphJson } from '../../../compiler/import/langgraph-json.ts';

const whole = (found: FoundSystem | { readonly problem: string }): FoundSystem => {
  if ('problem' in found) throw new Error(found.problem);
  return found;
};

describe('an agent card', () => {
  const card = {
    name: 'Legal Review',
    description: 'Reads contracts.',
    version: '2.1.0',
    capabilities: { streaming: true },
    defaultInputModes: ['text/plain'],
    defaultOutputModes: ['text/plain'],
    skills: [{ id: 'review', name: 'Review a contract', description: '', tags: [] }],
    supportedInterfaces: [
      { url: 'https://legal.example/slim', protocolBinding: 'https://example.org/custom', protocolVersion: '1.0' },
      { url: 'https://legal.example/rest', protocolBinding: 'HTTP+JSON', protocolVersion: '1.0' },
    ],
  };

  it('of 1.0 is an external agent behind the first binding we speak', () => {
    const { components, entry, questions } = whole(foundInAgentCard(card, 'card.json'));
    expect(components).toMatchObject([
      {
        name: 'legal-review',
        called: 'Legal Review',
        mobility: 'external',
        speaks: 'a2a',
        options: { binding: 'rest' },
        run: { kind: 'url', url: 'https://legal.example/rest' },
        streams: true,
      },
    ]);
    expect(components[0]?.description).toContain('Review a contract');
    expect(entry).toBe('legal-review');
    expect(questions.map((question) => question.text).join()).toContain('maxRate');
  });

  it('of 0.3 is spoken to as such', () => {
    const { supportedInterfaces: _, ...rest } = card;
    const { components } = whole(foundInAgentCard({ ...rest, url: 'http://old.example/', preferredTransport: 'JSONRPC' }, 'card.json'));
    expect(components[0]).toMatchObject({ options: { binding: 'json-rpc', legacy: true }, run: { url: 'http://old.example/' } });
  });

  it('that wants credentials asks for the variable', () => {
    const { questions } = whole(foundInAgentCard({ ...card, securitySchemes: { oauth: { type: 'oauth2' } } }, 'card.json'));
    expect(questions.map((question) => question.text).join()).toMatch(/credentials \(oauth\)/);
  });

  it.each([
    ['no card', { hello: 1 }],
    ['a list', []],
    ['only bindings nobody knows', { ...card, supportedInterfaces: [{ url: 'x', protocolBinding: 'CARRIER-PIGEON' }] }],
  ])('with %s is answered with a reason', (_what, value) => {
    expect(foundInAgentCard(value, 'card.json')).toHaveProperty('problem');
  });
});

const composeFile = `
name: Trip_Planner
services:
  planner:
    image: acme/planner:3
    command: ["node", "server.js"]
    environment:
      RESEARCH_URL: http://research:8001/ask
      OPENAI_API_KEY: sk-should-never-be-copied
      OPENAI_BASE_URL: \${LLM_URL:-http://vllm:8000/v1}
      LOG_LEVEL: info
      REGION: \${REGION}
    ports: ["8080:80"]
    deploy: { resources: { limits: { cpus: "0.5", memory: 512M } } }
  research:
    build: ./research
    environment: ["DATABASE_URL=postgres://u:p@db:5432/x", "CACHE=redis:6379"]
    expose: ["8001"]
    deploy: { replicas: 3 }
    depends_on: [db, guide]
  guide:
    image: acme/guide
    container_name: guide
  vllm:
    image: vllm/vllm-openai:v0.9
    expose: ["8000"]
  db: { image: "postgres:16" }
  redis: { image: "redis:7" }
`;

describe('a compose file', () => {
  const found = whole(foundInCompose(composeFile, 'compose.yaml', 'folder'));
  const component = (name: string) => found.components.find((each) => each.name === name);

  it('gives an agent per program that is not infrastructure', () => {
    expect(found.components.map((each) => each.name)).toEqual(['planner', 'research', 'guide']);
    expect(found.services.map((each) => [each.name, each.what])).toEqual([
      ['db', 'database'],
      ['redis', 'cache'],
    ]);
    expect(found.name).toBe('trip-planner');
  });

  it('says where each listens: as published, as exposed, as its neighbours were told, or as PORT says', () => {
    const more = whole(
      foundInCompose(
        'services: {a: {image: a, environment: {B: "http://b:7000/x", C: "c:1"}}, b: {image: b}, c: {image: c, ports: ["9:9"], environment: {PORT: "9"}}}',
        'compose.yaml',
        'folder',
      ),
    );
    const portOf = (all: typeof found, name: string) => all.components.find((each) => each.name === name)?.run;
    expect(portOf(found, 'planner')).toMatchObject({ port: 80 });
    expect(portOf(found, 'research')).toMatchObject({ port: 8001 });
    expect(portOf(more, 'b')).toMatchObject({ port: 7000 });
    for (const name of ['a', 'c']) expect(portOf(more, name)).not.toHaveProperty('port');
  });

  it('keeps the present layout', () => {
    expect(component('planner')).toMatchObject({ replicas: 1, resources: { vcpu: 0.5, memoryMb: 512 } });
    expect(component('research')?.replicas).toBe(3);
    expect(component('guide')?.reason).toMatch(/fixed name/);
  });

  it('finds edges in addresses, models in base URLs, the entry in published ports', () => {
    expect(found.edges).toEqual([{ from: 'planner', to: 'research', certainty: 'guessed', place: 'compose.yaml:4 (RESEARCH_URL)' }]);
    expect(component('planner')?.run).toMatchObject({ models: { vllm: 'OPENAI_BASE_URL' } });
    expect(found.models).toMatchObject([{ name: 'vllm', url: 'http://vllm:8000/v1', usedBy: ['planner'] }]);
    expect(found.entry).toBe('planner');
  });

  it('copies no secret and no value that is not in the file', () => {
    const { run } = component('planner') ?? {};
    expect(run).toMatchObject({
      kind: 'image',
      secrets: ['OPENAI_API_KEY', 'REGION'],
      neighbours: { RESEARCH_URL: 'research' },
      environment: { LOG_LEVEL: 'info' },
    });
    expect(component('research')?.run).toMatchObject({ secrets: ['DATABASE_URL'], environment: { CACHE: 'redis:6379' } });
    expect(JSON.stringify(found)).not.toMatch(/sk-should-never-be-copied|u:p@/);
  });

  it('asks what it could not see, with the line', () => {
    const texts = found.questions.map((question) => `${question.place} ${question.text}`);
    expect(texts).toContainEqual(expect.stringMatching(/^compose\.yaml:15 research is built from \.\/research/));
    expect(texts).toContainEqual(expect.stringMatching(/research starts after guide/));
    expect(texts).toContainEqual(expect.stringMatching(/Which port does guide listen on/));
    expect(texts.join()).not.toMatch(/Which port does (planner|research) /);
  });

  it.each([
    ['broken YAML', 'services:\n  a: {image: x\n  b: 1', 3],
    ['a service that is a list', 'services:\n  a:\n    image: x\n  b: [1]', 4],
    ['no services', 'version: "3"', 1],
    [
      'an alias bomb',
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nservices: [*c,*c,*c,*c]`,
      1,
    ],
  ])('with %s is answered with a reason and a line', (_what, text, line) => {
    const answer = foundInCompose(text, 'compose.yaml', 'folder');
    expect(answer).toHaveProperty('problem');
    expect(answer).toMatchObject({ line: expect.any(Number) });
    if ('line' in answer && line > 1) expect(answer.line).toBeGreaterThanOrEqual(line - 1);
  });
});

const namespace: NamespaceObjects = {
  namespace: 'agents',
  workloads: [
    {
      kind: 'Deployment',
      metadata: { name: 'router' },
      spec: {
        replicas: 2,
        template: {
          metadata: { labels: { app: 'router' } },
          spec: {
            containers: [
              {
                name: 'main',
                image: 'acme/router:1',
                env: [
                  { name: 'WRITER', value: 'http://writer.agents.svc.cluster.local:9000' },
                  { name: 'MODEL_URL', valueFrom: { configMapKeyRef: { name: 'llm', key: 'url' } } },
                  { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
                ],
                ports: [{ containerPort: 8080 }],
                resources: { requests: { cpu: '250m', memory: '1Gi' } },
              },
            ],
          },
        },
      },
    },
    {
      kind: 'StatefulSet',
      metadata: { name: 'writer' },
      spec: {
        template: {
          metadata: { labels: { app: 'writer' } },
          spec: {
            containers: [
              { name: 'main', image: 'acme/writer' },
              { name: 'istio-proxy', image: 'istio/proxyv2' },
            ],
          },
        },
      },
    },
  ],
  services: [
    { metadata: { name: 'router' }, spec: { selector: { app: 'router' }, type: 'LoadBalancer' } },
    { metadata: { name: 'writer' }, spec: { selector: { app: 'writer' } } },
    { metadata: { name: 'headless' }, spec: {} },
  ],
  autoscalers: [
    {
      metadata: { name: 'router' },
      spec: {
        scaleTargetRef: { kind: 'Deployment', name: 'router' },
        minReplicas: 2,
        maxReplicas: 10,
        metrics: [{ type: 'Resource', resource: { name: 'cpu' } }],
      },
    },
  ],
  configMaps: { llm: { url: 'http://pool.models:8000/v1' } },
  unreadable: ['secrets: forbidden'],
};

describe('a Kubernetes namespace', () => {
  const found = foundInNamespace(namespace);

  it('keeps replicas, requests and autoscaling as they are', () => {
    expect(found.components[0]).toMatchObject({
      name: 'router',
      replicas: 2,
      resources: { vcpu: 0.25, memoryMb: 1024 },
      autoscaling: { min: 2, max: 10, by: 'cpu' },
      place: 'deployment/router',
    });
  });

  it('sees edges through service names, models through config maps, and names secrets only', () => {
    expect(found.edges).toMatchObject([{ from: 'router', to: 'writer' }]);
    expect(found.models).toMatchObject([{ url: 'http://pool.models:8000/v1', usedBy: ['router'] }]);
    expect(found.components[0]?.run).toMatchObject({ secrets: ['TOKEN'] });
    expect(found.entry).toBe('router');
  });

  it('says why a workload may not be changed, and what could not be read', () => {
    expect(found.components[1]?.reason).toMatch(/StatefulSet/);
    expect(found.questions.map((question) => question.text)).toContainEqual(expect.stringContaining('secrets: forbidden'));
  });

  it.each([
    ['250m', 0.25],
    ['2', 2],
    ['1.5', 1.5],
    ['512Mi', 512 * 1024 ** 2],
    ['1G', 1e9],
    ['1e3', 1000],
    ['lots', undefined],
    [undefined, undefined],
  ])('reads the quantity %s', (text, value) => {
    expect(quantityOf(text)).toBe(value);
  });
});

describe('what looks like a secret', () => {
  it.each([
    ['OPENAI_API_KEY', 'x'],
    ['DB_PASSWORD', 'x'],
    ['PASSWORDS', 'x'],
    ['SENTRY_DSN', 'x'],
    ['AUTH_HEADER', 'x'],
    ['DATABASE', 'postgres://me:pw@db/x'],
    ['TRACKER', 'https://abc123@errors.example/1'],
    ['ANYTHING', 'sk-abc'],
    ['ANYTHING', 'ghp_abc'],
  ])('%s=%s is named and never copied', (name, value) => {
    const found = whole(foundInCompose(JSON.stringify({ services: { a: { image: 'acme/a', environment: { [name]: value } } } }), 'c', 'f'));
    expect(found.components[0]?.run).toMatchObject({ secrets: [name], environment: {} });
  });
  it('in a command leaves the command out, and asks', () => {
    const service = { image: 'acme/a', command: ['serve', '--key', 'sk-abc'] };
    const found = whole(foundInCompose(JSON.stringify({ services: { a: service } }), 'c', 'f'));
    expect(JSON.stringify(found)).not.toContain('sk-abc');
    expect(found.questions.map(({ text }) => text).join()).toMatch(/holds what looks like a secret/);
  });
  it.each([
    ['MONKEY', 'x'],
    ['AUTHOR', 'x'],
    ['LOG_LEVEL', 'info'],
    ['TOKENIZER', 'cl100k'],
  ])('%s=%s does not', (name, value) => {
    const found = whole(foundInCompose(JSON.stringify({ services: { a: { image: 'acme/a', environment: { [name]: value } } } }), 'c', 'f'));
    expect(found.components[0]?.run).toMatchObject({ secrets: [], environment: { [name]: value } });
  });
});

describe('a langgraph.json', () => {
  it('has graphs of ours and of others', () => {
    const found = foundInLanggraphJson({ graphs: { agent: './src/graph.ts:graph', old_one: { path: './old.py:app' } } }, 'langgraph.json');
    if ('problem' in found) throw new Error(found.problem);
    expect(found.graphs).toEqual([{ id: 'agent', module: './src/graph.ts', exportName: 'graph' }]);
    expect(found.foreign.components).toMatchObject([{ name: 'old-one', mobility: 'replicasOnly' }]);
    expect(found.foreign.questions).toHaveLength(1);
  });
  it('that is something else is answered with a reason', () => {
    expect(foundInLanggraphJson({ graphs: 3 }, 'langgraph.json')).toHaveProperty('problem');
  });
});

describe('several sources of one system', () => {
  const seen: FoundSystem = {
    name: 'from-traces',
    components: [
      { name: 'planner', kind: 'agent', mobility: 'replicasOnly', reason: 'seen only in traces', place: 'traces.json' },
      { name: 'guide', kind: 'agent', mobility: 'replicasOnly', reason: 'seen only in traces', place: 'traces.json' },
    ],
    edges: [{ from: 'research', to: 'guide', certainty: 'seen', place: 'traces.json' }],
    models: [],
    services: [],
    questions: [],
  };
  const deployed = whole(foundInCompose(composeFile, 'compose.yaml', 'folder'));

  it('complete each other: how it is run from one, who calls whom from the other', () => {
    for (const order of [
      [deployed, seen],
      [seen, deployed],
    ]) {
      const joined = joinSystems(order);
      expect(joined.components.find((each) => each.name === 'planner')?.run?.kind).toBe('image');
      expect(joined.edges.map((edge) => `${edge.from}->${edge.to} ${edge.certainty}`).sort()).toEqual([
        'planner->research guessed',
        'research->guide seen',
      ]);
      // Traces have answered it.
      expect(joined.questions.map((question) => question.text).join()).not.toContain('starts after guide');
    }
  });
});

describe('anything at all', () => {
  it('never makes a reader throw, and names always fit a scenario', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, text) => {
        foundInAgentCard(value, 'x');
        foundInLanggraphJson(value, 'x');
        foundInCompose(text, 'x', 'x');
        foundInCompose(JSON.stringify({ services: { a: value, [text]: value } }), 'x', 'x');
        expect(scenarioName(text)).toMatch(/^[a-z][a-z0-9-]*$/);
      }),
      { numRuns: 300 },
    );
  });
});
