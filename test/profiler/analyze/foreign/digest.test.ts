import { describe, expect, it } from 'vitest';
import type { TraceDigest } from '../../../../compiler/contracts/index.ts';
import { digestSpans, type TestSpan } from './fixture.ts';

const kindsOf = ({ components }: TraceDigest) => Object.fromEntries(components.map(({ name, kind }) => [name, kind]));
const edgesOf = ({ edges }: TraceDigest) => edges.map(({ from, to, kind, calls }) => `${from} → ${to} ${kind} ${calls}`).sort();
const component = ({ components }: TraceDigest, name: string) => components.find((each) => each.name === name);

/** An agent in a service behind HTTP that asks a model and calls a tool, in the words of one convention. */
const app = (words: {
  readonly agent: TestSpan['attributes'];
  readonly model: TestSpan['attributes'];
  readonly tool: TestSpan['attributes'];
  readonly names?: readonly [string, string, string];
}): TestSpan[] => {
  const [agent, model, tool] = words.names ?? ['invoke_agent planner', 'chat gpt-4o', 'execute_tool search'];
  return [
    { id: 'http', kind: 'server', at: [0, 100], name: 'POST /plan', attributes: { 'http.request.method': 'POST', 'http.route': '/plan' } },
    { id: 'agent', parent: 'http', at: [1, 99], name: agent, attributes: words.agent ?? {} },
    { id: 'model', parent: 'agent', kind: 'client', at: [10, 50], name: model, attributes: words.model ?? {} },
    { id: 'tool', parent: 'agent', at: [55, 75], name: tool, attributes: words.tool ?? {} },
  ];
};

describe('conventions', () => {
  it.each([
    [
      'gen_ai',
      app({
        agent: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'planner' },
        model: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': 'openai',
          'gen_ai.request.model': 'gpt-4o',
          'gen_ai.usage.input_tokens': 1000,
          'gen_ai.usage.output_tokens': 200,
          'gen_ai.usage.cache_read.input_tokens': 400,
        },
        tool: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'search' },
      }),
    ],
    [
      'gen_ai',
      app({
        agent: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'planner', 'gen_ai.system': 'openai' },
        model: {
          'gen_ai.system': 'openai',
          'gen_ai.request.model': 'gpt-4o',
          'gen_ai.usage.prompt_tokens': 1000,
          'gen_ai.usage.completion_tokens': 200,
          'gen_ai.usage.cache_read_input_tokens': 400,
        },
        tool: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'search' },
      }),
    ],
    [
      'openinference',
      app({
        names: ['planner', 'ChatOpenAI', 'search'],
        agent: { 'openinference.span.kind': 'AGENT', 'input.value': 'plan a trip' },
        model: {
          'openinference.span.kind': 'LLM',
          'llm.model_name': 'gpt-4o',
          'llm.provider': 'openai',
          'llm.token_count.prompt': 1000,
          'llm.token_count.completion': 200,
          'llm.token_count.prompt_details.cache_read': 400,
        },
        tool: { 'openinference.span.kind': 'TOOL', 'tool.name': 'search' },
      }),
    ],
    [
      'openllmetry',
      app({
        names: ['planner.agent', 'openai.chat', 'search.tool'],
        agent: { 'traceloop.span.kind': 'agent', 'traceloop.entity.name': 'planner' },
        model: {
          'llm.request.type': 'chat',
          'gen_ai.system': 'openai',
          'gen_ai.request.model': 'gpt-4o',
          'llm.usage.prompt_tokens': 1000,
          'llm.usage.completion_tokens': 200,
          'llm.usage.cache_read_input_tokens': 400,
        },
        tool: { 'traceloop.span.kind': 'tool', 'traceloop.entity.name': 'search' },
      }),
    ],
    [
      'dmas',
      app({
        agent: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'planner', 'dmas.active_ms': 3, 'dmas.concurrency': 1 },
        model: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': 'openai',
          'gen_ai.request.model': 'gpt-4o',
          'gen_ai.usage.input_tokens': 1000,
          'gen_ai.usage.output_tokens': 200,
          'gen_ai.usage.cache_read.input_tokens': 400,
          'dmas.queue_ms': 2,
        },
        tool: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'search', 'dmas.active_ms': 1 },
      }),
    ],
  ])('%s: an agent, its model and its tool', async (convention, spans) => {
    const digest = await digestSpans(spans);
    expect(kindsOf(digest)).toEqual({ planner: 'agent', 'gpt-4o': 'model', search: 'tool' });
    expect(edgesOf(digest)).toEqual(['planner → gpt-4o sync 1', 'planner → search sync 1']);
    expect(digest.quality.conventions[convention]).toBeGreaterThanOrEqual(3);
    expect(digest.roots).toMatchObject([{ name: 'POST /plan', entry: 'planner', requests: 1, humanWait: null }]);
    // The service around the agent is the agent: 100 - 40 - 20.
    expect(component(digest, 'planner')?.self.totalMs).toBeCloseTo(40, 3);
    expect(component(digest, 'planner')?.tokens).toEqual({ in: 1000, out: 200, cached: 400 });
    expect(digest.modelUse).toMatchObject([
      { agent: 'planner', model: 'gpt-4o', provider: 'openai', calls: 1, tokens: { in: 1000, out: 200, cached: 400 }, costUsd: null },
    ]);
    expect(digest.quality.darkComponents).toEqual([]);
  });

  it('counts a model call once that two libraries and the server of the model tell of', async () => {
    const tokens = { 'gen_ai.request.model': 'llama', 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.output_tokens': 5 };
    const digest = await digestSpans([
      { id: 'agent', at: [0, 100], attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'a' } },
      {
        id: 'outer',
        parent: 'agent',
        at: [10, 90],
        attributes: { 'openinference.span.kind': 'LLM', 'llm.model_name': 'llama', 'llm.token_count.prompt': 10 },
      },
      {
        id: 'inner',
        parent: 'outer',
        kind: 'client',
        at: [11, 89],
        attributes: { 'gen_ai.operation.name': 'chat', ...tokens, 'gen_ai.request.model': 'llama-3.1' },
      },
      {
        id: 'post',
        parent: 'inner',
        kind: 'client',
        at: [12, 88],
        attributes: { 'http.request.method': 'POST', 'server.address': 'vllm' },
      },
      {
        id: 'engine',
        parent: 'post',
        service: 'vllm',
        kind: 'server',
        at: [13, 87],
        name: 'llm_request',
        attributes: { ...tokens, 'gen_ai.request.model': 'meta/llama' },
      },
    ]);
    expect(kindsOf(digest)).toEqual({ a: 'agent', llama: 'model' });
    expect(digest.modelUse).toMatchObject([{ calls: 1, tokens: { in: 10, out: 5, cached: null } }]);
    expect(component(digest, 'llama')).toMatchObject({ services: ['vllm'] });
  });

  it('sees a proxy before the models as the service it is', async () => {
    const chat = { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt', 'gen_ai.usage.input_tokens': 10 };
    const digest = await digestSpans([
      { id: 'agent', at: [0, 100], attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'a' } },
      { id: 'outer', parent: 'agent', kind: 'client', at: [10, 90], attributes: chat },
      { id: 'proxy', parent: 'outer', service: 'litellm', kind: 'server', at: [12, 88], attributes: { 'http.request.method': 'POST' } },
      { id: 'inner', parent: 'proxy', service: 'litellm', kind: 'client', at: [20, 80], attributes: chat },
    ]);
    expect(edgesOf(digest)).toEqual(['a → litellm sync 1', 'litellm → gpt sync 1']);
    expect(digest.modelUse).toMatchObject([{ agent: 'litellm', tokens: { in: 10 } }]);
    expect(digest.edges.find(({ to }) => to === 'litellm')?.gap?.meanMs).toBeCloseTo(4, 3);
  });

  it('an MCP tool is where its server is, and one without spans is dark', async () => {
    const mcp = (tool: string) => ({ 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': tool, 'gen_ai.operation.name': 'execute_tool' });
    const digest = await digestSpans([
      { id: 'agent', at: [0, 100], attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'a' } },
      { id: 'client', parent: 'agent', kind: 'client', at: [10, 40], attributes: mcp('search') },
      { id: 'server', parent: 'client', service: 'mcp', kind: 'server', at: [15, 35], attributes: mcp('search') },
      { id: 'silent', parent: 'agent', kind: 'client', at: [50, 60], attributes: mcp('weather') },
    ]);
    expect(kindsOf(digest)).toEqual({ a: 'agent', search: 'tool', weather: 'tool' });
    expect(component(digest, 'search')).toMatchObject({ services: ['mcp'], calls: 1 });
    expect(digest.edges.find(({ to }) => to === 'search')).toMatchObject({ protocol: 'mcp', sameInstanceShare: 0 });
    expect(digest.edges.find(({ to }) => to === 'search')?.gap?.totalMs).toBeCloseTo(10, 3);
    expect(digest.quality.darkComponents).toEqual(['weather']);
  });

  it('databases, queues and strangers', async () => {
    const digest = await digestSpans([
      { id: 'root', service: 'shop', kind: 'server', at: [0, 100], attributes: { 'http.request.method': 'GET' } },
      {
        id: 'db',
        service: 'shop',
        parent: 'root',
        kind: 'client',
        at: [5, 15],
        attributes: { 'db.system': 'postgresql', 'db.name': 'orders' },
      },
      {
        id: 'out',
        service: 'shop',
        parent: 'root',
        kind: 'client',
        at: [20, 40],
        attributes: { 'url.full': 'https://user:pw@api.weather.example/v1?q=x' },
      },
      {
        id: 'send',
        service: 'shop',
        parent: 'root',
        kind: 'producer',
        at: [50, 52],
        attributes: { 'messaging.system': 'kafka', 'messaging.destination.name': 'mails' },
      },
      {
        id: 'lost',
        service: 'shop',
        parent: 'root',
        kind: 'producer',
        at: [60, 61],
        attributes: { 'messaging.system': 'kafka', 'messaging.destination.name': 'audit' },
      },
      { id: 'handle', service: 'mailer', parent: 'send', kind: 'consumer', at: [70, 170], attributes: { 'messaging.system': 'kafka' } },
    ]);
    expect(kindsOf(digest)).toEqual({
      shop: 'service',
      'postgresql/orders': 'database',
      'api.weather.example': 'outside',
      audit: 'queue',
      mailer: 'service',
    });
    expect(edgesOf(digest)).toEqual([
      'shop → api.weather.example sync 1',
      'shop → audit async 1',
      'shop → mailer async 1',
      'shop → postgresql/orders sync 1',
    ]);
    // Nobody waits for the message to be handled.
    expect(digest.criticalPath.components.find(({ component: name }) => name === 'mailer')).toBeUndefined();
    expect(digest.roots[0]?.latency.meanMs).toBeCloseTo(100, 3);
    expect(digest.quality.darkComponents).toEqual(['api.weather.example']);
  });

  it('a consumer that begins a trace of its own and links to its producer goes on with the first', async () => {
    const digest = await digestSpans([
      { id: 'root', service: 'a', kind: 'server', at: [0, 20] },
      { id: 'send', service: 'a', parent: 'root', kind: 'producer', at: [5, 6], attributes: { 'messaging.system': 'nats' } },
      {
        id: 'handle',
        trace: 'second',
        service: 'b',
        kind: 'consumer',
        at: [30, 50],
        attributes: { 'messaging.system': 'nats' },
        link: { trace: 'trace', id: 'send' },
      },
    ]);
    expect(digest.quality).toMatchObject({ traces: 1, complete: 1 });
    expect(edgesOf(digest)).toEqual(['a → b async 1']);
  });

  it('keeps human waits apart', async () => {
    const digest = await digestSpans([
      { id: 'agent', at: [0, 10_100], name: 'run', attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'clerk' } },
      { id: 'wait', parent: 'agent', at: [50, 10_050], name: 'waitForApproval' },
    ]);
    expect(kindsOf(digest)).toEqual({ clerk: 'agent', human: 'human' });
    expect(digest.roots[0]?.latency.meanMs).toBeCloseTo(100, 3);
    expect(digest.roots[0]?.humanWait?.meanMs).toBeCloseTo(10_000, 3);
    expect(digest.criticalPath.meanMs).toBeCloseTo(100, 3);
  });

  it('a server, an agent or a tool with a harmless name is no human', async () => {
    const digest = await digestSpans([
      { id: 'root', service: 'approval', kind: 'server', at: [0, 10], name: 'POST /approval' },
      {
        id: 'agent',
        service: 'approval',
        parent: 'root',
        at: [1, 9],
        attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'human-resources' },
      },
      {
        id: 'tool',
        service: 'approval',
        parent: 'agent',
        at: [2, 8],
        attributes: { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'humanize_date' },
      },
    ]);
    expect(Object.values(kindsOf(digest)).sort()).toEqual(['agent', 'tool']);
  });
});

describe('quality', () => {
  const server = (id: string, rest: Partial<TestSpan> = {}): TestSpan => ({ id, kind: 'server', at: [0, 10], ...rest });

  it('counts partial traces by their cause', async () => {
    const digest = await digestSpans([
      server('whole', { trace: 'a' }),
      server('caller-elsewhere', { trace: 'b', parent: 'browser' }),
      { id: 'internal', trace: 'c', parent: 'gone', at: [0, 1] },
      server('root', { trace: 'd' }),
      { id: 'orphan', trace: 'd', parent: 'gone', at: [1, 2] },
      server('one', { trace: 'e' }),
      server('two', { trace: 'e' }),
      { id: 'self', trace: 'f', parent: 'self', at: [0, 1] },
      { id: 'x', trace: 'g', parent: 'y', at: [0, 1] },
      { id: 'y', trace: 'g', parent: 'x', at: [1, 2] },
    ]);
    expect(digest.quality).toMatchObject({
      traces: 7,
      complete: 2,
      unbrokenShare: 2 / 7,
      partial: { 'no-root': 1, 'missing-parent': 1, 'several-roots': 1, cycle: 2 },
      orphanSpans: 3,
    });
    expect(digest.roots.reduce((sum, { requests }) => sum + requests, 0)).toBe(2);
  });

  it('counts a span sent twice once, and lets a server share the id of its client', async () => {
    const client: TestSpan = { id: 'call', parent: 'root', service: 'a', kind: 'client', at: [2, 8], attributes: { 'peer.service': 'b' } };
    const shared: TestSpan = { id: 'call', parent: 'root', service: 'b', kind: 'server', at: [3, 7] };
    const below: TestSpan = { id: 'db', parent: 'call', service: 'b', kind: 'client', at: [4, 5], attributes: { 'db.system': 'redis' } };
    for (const spans of [
      [client, shared],
      [shared, client],
    ]) {
      const digest = await digestSpans([server('root', { service: 'a' }), ...spans, client, below]);
      expect(digest.quality).toMatchObject({ traces: 1, complete: 1, duplicateSpanIds: 2 });
      expect(edgesOf(digest)).toEqual(['a → b sync 1', 'b → redis sync 1']);
      expect(digest.edges.find(({ to }) => to === 'b')?.gap?.totalMs).toBeCloseTo(2, 3);
    }
  });

  it('moves a server whose clock is off into its client, and its calls with it', async () => {
    const digest = await digestSpans([
      server('root', { service: 'a', at: [0, 100] }),
      { id: 'call', parent: 'root', service: 'a', kind: 'client', at: [10, 90] },
      { id: 'serve', parent: 'call', service: 'b', kind: 'server', at: [5012, 5088] },
      { id: 'db', parent: 'serve', service: 'b', kind: 'client', at: [5020, 5030], attributes: { 'db.system': 'redis' } },
    ]);
    expect(digest.quality.clockSkew).toMatchObject({ found: 1, repaired: 1 });
    expect(digest.quality.clockSkew.maxMs).toBeCloseTo(5000, 3);
    expect(edgesOf(digest)).toEqual(['a → b sync 1', 'b → redis sync 1']);
    expect(component(digest, 'b')?.self.totalMs).toBeCloseTo(66, 3);
    const onPath = digest.criticalPath.components.map(({ component: name, meanMs }) => [name, Math.round(meanMs)]);
    expect(Object.fromEntries(onPath)).toEqual({ a: 20, b: 66, redis: 10 });
  });

  it('leaves a server alone that outlived its client', async () => {
    const digest = await digestSpans([
      server('root', { service: 'a', at: [0, 30] }),
      { id: 'call', parent: 'root', service: 'a', kind: 'client', at: [10, 20], error: true },
      { id: 'serve', parent: 'call', service: 'b', kind: 'server', at: [11, 200] },
    ]);
    expect(digest.quality.clockSkew).toEqual({ found: 0, repaired: 0, maxMs: 0 });
    expect(edgesOf(digest)).toEqual(['a → b async 1']);
  });

  it('tells what ran where and how much at once', async () => {
    const call = (i: number, instance: string, from: number): TestSpan[] => [
      { id: `c${i}`, parent: 'root', service: 'a', instance: 'a0', host: 'h1', kind: 'client', at: [from, from + 30] },
      {
        id: `s${i}`,
        parent: `c${i}`,
        service: 'b',
        instance,
        host: instance === 'b0' ? 'h1' : 'h2',
        kind: 'server',
        at: [from + 1, from + 29],
      },
    ];
    const digest = await digestSpans([
      server('root', { service: 'a', instance: 'a0', host: 'h1', at: [0, 200] }),
      ...call(1, 'b0', 10),
      ...call(2, 'b1', 20),
      ...call(3, 'b0', 25),
      ...call(4, 'b0', 100),
    ]);
    expect(component(digest, 'b')).toMatchObject({ instances: ['b0', 'b1'], instanceCount: 2, peakConcurrency: 3, calls: 4 });
    expect(digest.edges).toMatchObject([{ callsPerRequest: 4, sameInstanceShare: 0, sameHostShare: 0.75 }]);
  });

  it('estimates repeated context by counts, and by messages where they are there', async () => {
    const chat = (i: number, tokensIn: number, messages?: readonly string[]): TestSpan => ({
      id: `chat${i}`,
      parent: 'agent',
      kind: 'client',
      at: [i * 10, i * 10 + 5],
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'm',
        'gen_ai.usage.input_tokens': tokensIn,
        'gen_ai.usage.output_tokens': 1,
        ...(messages ? { 'gen_ai.input.messages': JSON.stringify(messages) } : {}),
      },
    });
    const agent: TestSpan = {
      id: 'agent',
      at: [0, 100],
      attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'a' },
    };
    const counts = await digestSpans([agent, chat(1, 100), chat(2, 300), chat(3, 50)]);
    expect(counts.modelUse[0]?.repeated).toEqual({ basis: 'counts', calls: 3, tokensIn: 450, repeatedTokens: 100, share: 100 / 450 });
    const secret = 'the secret of the whole affair';
    const [one, two, three] = ['a'.repeat(28), secret.slice(0, 28), 'c'.repeat(28)];
    const messages = await digestSpans([agent, chat(1, 100, [one]), chat(2, 200, [one, two]), chat(3, 100, [three])]);
    expect(messages.modelUse[0]?.repeated).toMatchObject({ basis: 'messages', calls: 3, repeatedTokens: 100 });
    expect(JSON.stringify(messages)).not.toContain('secret');
  });
});
