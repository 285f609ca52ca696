import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { httpUrl, type Json, type PlannedService, type ProcessBinding, type ReplicaAddress } from '../../../../compiler/contracts/index.ts';
import { startRouterService } from '../../../../runtime/llm/router/service.ts';
import { urlOf } from '../endpoints.ts';
import { readMetricsText } from '../server/metrics-text.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A model server of ours in a process of its own. */
async function serverProcess(options: { readonly [option: string]: Json }, port = 0): Promise<{ child: ChildProcess; port: number }> {
  const script = join(import.meta.dirname, '../../../fixtures/llm/model-server-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify({ model: 'main', ...options }), String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => kill(child));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, port: Number(line.toString()) };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const anywhere = { host: '127.0.0.1', port: 0 };
const address = (replica: number, port: number, instanceId = `model-main-${replica}-1`): ReplicaAddress => ({
  replica,
  instanceId,
  at: { host: '127.0.0.1', port },
});

async function route(replicas: readonly ReplicaAddress[], options: { readonly [option: string]: Json } = {}) {
  const service: PlannedService = {
    id: 'router-main',
    kind: 'router',
    replicas: 1,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { upstream: 'service://model-main', model: 'main', ...options },
  };
  const binding: ProcessBinding = {
    deploymentId: 'd1',
    id: 'router-main',
    replica: 0,
    instanceId: 'router-main-0-1',
    control: anywhere,
    listen: { 'service://router-main': anywhere },
    peers: replicas.length === 0 ? {} : { 'service://model-main': replicas },
    otlpEndpoints: [],
    samplingRatio: 0,
    stateDir: '',
    queueLimit: 64,
    drainMs: 500,
  };
  const started = await startRouterService(service, binding);
  cleanups.push(() => started.close());
  const at = started.report.listen['service://router-main'];
  if (at === undefined) throw new Error('no address reported');
  const control = httpUrl(started.report.control);
  return {
    url: httpUrl(at),
    client: new OpenAI({ baseURL: `${httpUrl(at)}/v1`, apiKey: 'any', maxRetries: 0 }),
    ready: async () => (await fetch(`${control}/readyz`)).status,
    tell: (peers: readonly ReplicaAddress[]) =>
      fetch(`${control}/peers`, { method: 'PUT', body: JSON.stringify({ 'service://model-main': peers }) }),
    stats: async () =>
      (await (await fetch(`${control}/stats`)).json()) as { replicas: { replica: number; up: boolean; outstanding: number }[] },
  };
}

const ask = (content: string) => ({ model: 'main', messages: [{ role: 'user' as const, content }] });

/** A server that says only what a test wants it to. */
async function stub(answer: Parameters<typeof createServer>[1]): Promise<{ server: Server; port: number }> {
  const server = createServer(answer);
  const url = await urlOf(server);
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: Number(new URL(url).port) };
}

describe('the router in front of real servers', () => {
  it('passes streams through, survives a server that is killed in the middle of one, and takes it back', async () => {
    const options = { stepFixedMs: 15, replies: [{ text: 'word '.repeat(80) }] };
    const [a, b] = await Promise.all([serverProcess(options), serverProcess(options)]);
    const { client, url, stats, ready } = await route([address(0, a.port), address(1, b.port)]);
    expect(await ready()).toBe(200);
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['main']);

    const streamed = async (name: string, onText?: () => void) => {
      const stream = await client.chat.completions.create({ ...ask(name), stream: true });
      let text = '';
      let finish: string | null = null;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        if (text !== '') onText?.();
      }
      return { text, finish };
    };
    let begun = 0;
    let bothBegan = () => {};
    const began = new Promise<void>((resolve) => {
      bothBegan = () => (++begun === 2 ? resolve() : undefined);
    });
    const once = (then: () => void) => {
      let done = false;
      return () => {
        if (!done) then();
        done = true;
      };
    };
    const both = Promise.allSettled([streamed('one', once(bothBegan)), streamed('two', once(bothBegan))]);
    await began;
    expect((await stats()).replicas.map(({ outstanding }) => outstanding)).toEqual([1, 1]);
    await kill(a.child);
    const outcomes = await both;
    // One reply breaks off where its server died; the other is whole.
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const whole = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(whole).toEqual([{ text: 'word '.repeat(80), finish: 'stop' }]);

    // The dead one gets nobody; those sent to it first go to the other.
    const rest = await Promise.all([1, 2, 3, 4].map((index) => client.chat.completions.create(ask(`again ${index}`))));
    expect(rest.length).toBe(4);
    expect((await stats()).replicas.map(({ up }) => up)).toEqual([false, true]);
    await serverProcess(options, a.port);
    await expect.poll(async () => (await stats()).replicas.map(({ up }) => up), { timeout: 10_000 }).toEqual([true, true]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  }, 30_000);

  it('says of which replica each number is', async () => {
    const [a, b] = await Promise.all([serverProcess({}), serverProcess({})]);
    const { client, url } = await route([address(0, a.port), address(1, b.port)], { router: 'round-robin' });
    for (let index = 0; index < 3; index++) await client.chat.completions.create(ask(`Number ${index}`));
    const families = readMetricsText(await (await fetch(`${url}/metrics`)).text());
    const finished = families.get('vllm:request_success_total')?.samples.filter(({ labels }) => labels.finished_reason === 'stop') ?? [];
    expect(finished.map(({ labels, value }) => [labels.replica, labels.engine, value])).toEqual([
      ['0', '0', 2],
      ['1', '0', 1],
    ]);
  }, 30_000);
});

describe('the router', () => {
  it('answers 503 while nobody is up or known, and is not ready before it knows somebody', async () => {
    const { server, port } = await stub(() => {});
    server.close();
    const { client, url, ready, tell } = await route([]);
    expect(await ready()).toBe(503);
    await expect(client.chat.completions.create(ask('x'))).rejects.toMatchObject({ status: 503, code: 'service_unavailable' });
    await tell([address(0, port)]);
    expect(await ready()).toBe(200);
    await expect(client.chat.completions.create(ask('x'))).rejects.toMatchObject({ status: 503 });
    const response = await fetch(`${url}/health`);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
  });

  it('lets another have what one turned away, hands on the last one’s refusal, and does not repeat what may have begun', async () => {
    let asked = 0;
    const loading = await stub((_, response) => {
      asked++;
      response.writeHead(503, { 'retry-after': '7' }).end('{"error":{"message":"Loading model","code":503}}');
    });
    const fine = await stub((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"fine":true}'));
    const { url } = await route([address(0, loading.port), address(1, fine.port)], { router: 'round-robin' });
    const post = (at: string) => fetch(`${at}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(ask('x')) });
    expect(await (await post(url)).json()).toEqual({ fine: true });
    expect(asked).toBe(1);

    const alone = await route([address(0, loading.port)]);
    const refused = await post(alone.url);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('7');

    let begun = 0;
    const breaking = await stub((request) => {
      begun++;
      request.socket.destroy();
    });
    const { url: broken } = await route([address(0, breaking.port), address(1, fine.port)], { router: 'round-robin' });
    const outcome = await post(broken);
    expect(outcome.status).toBe(502);
    expect(begun).toBe(1);
    expect(await (await post(broken)).json()).toEqual({ fine: true });
  });

  it('ends a request whose client goes away, and keeps conversations on their replica', async () => {
    const seen: string[][] = [[], []];
    const closed: number[] = [];
    const servers = await Promise.all(
      [0, 1].map((replica) =>
        stub((request, response) => {
          let text = '';
          request.setEncoding('utf8');
          request.on('data', (piece: string) => {
            text += piece;
          });
          request.on('end', () => {
            seen[replica]?.push(text);
            response.writeHead(200, { 'content-type': 'text/event-stream' });
            response.write('data: {}\n\n');
            if (!text.includes('endless')) response.end('data: [DONE]\n\n');
          });
          response.on('close', () => {
            if (!response.writableFinished) closed.push(replica);
          });
        }),
      ),
    );
    const { url, stats } = await route(
      servers.map(({ port }, replica) => address(replica, port)),
      { router: 'prefix-affinity' },
    );
    const post = (content: string, signal?: AbortSignal) =>
      fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(ask(content)), ...(signal ? { signal } : {}) });
    const story = (name: string) => `${name} went for a long walk along the river. `.repeat(10);
    for (const name of ['Anna', 'Bert', 'Anna', 'Bert', 'Anna', 'Bert']) await (await post(story(name))).text();
    expect(seen.map((texts) => texts.length)).toEqual([3, 3]);
    expect(seen.map((texts) => new Set(texts).size)).toEqual([1, 1]);

    const leaving = new AbortController();
    const response = await post('endless', leaving.signal);
    await response.body?.getReader().read();
    leaving.abort();
    await expect.poll(() => closed.length).toBe(1);
    await expect.poll(async () => (await stats()).replicas.map(({ outstanding }) => outstanding)).toEqual([0, 0]);
    // Nobody is out because of a client that left.
    expect((await stats()).replicas.every(({ up }) => up)).toBe(true);
  });

  it('refuses a policy it does not know', async () => {
    await expect(route([], { router: 'random' })).rejects.toThrow(/no router random/);
  });
});
