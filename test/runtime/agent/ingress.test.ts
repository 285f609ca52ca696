import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, blackboard, codeAgent, z } from '../../../compiler/api/index.ts';
import { httpUrl } from '../../../compiler/contracts/binding.ts';
import type { Tally } from '../../../compiler/contracts/index.ts';
import type { PlannedService } from '../../../compiler/contracts/plan.ts';
import { ingressHeaders as driverHeaders } from '../../../profiler/load/job.ts';
import { startGateway } from '../../../runtime/agent/gateway.ts';
import { ingressHeaders } from '../../../runtime/agent/ingress-headers.ts';
import type { StartedProcess } from '../../../runtime/process-life.ts';
import { type Application, ask as askAt, control, type Deployed, deploy, errorOf, latch, type Replica, until } from './harness.ts';

const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: Text, chunk: Text });
const back = agent('back', { input: Text, output: Text, effect: 'readOnly' });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
async function run(application: Application): Promise<Deployed> {
  const deployed = await deploy(application);
  cleanups.push(deployed.close);
  return deployed;
}
const echo = codeAgent(front, async (input) => input);
const single = { entry: front, groups: [['front']] } as const;

interface GatewayStats {
  readonly tally: Tally;
  readonly oldestMs: number | null;
}

describe('the ingress', () => {
  it('speaks the protocol of the load driver', () => {
    expect(ingressHeaders).toEqual(driverHeaders);
  });

  it('answers a malformed body with a typed error', async () => {
    const { ask } = await run({ ...single, parts: [echo] });
    const answer = await ask('{"text":');
    expect([answer.status, errorOf(answer).code]).toEqual([422, 'invalid']);
  });

  it('answers other methods with a typed error', async () => {
    const { urls } = await run({ ...single, parts: [echo] });
    const response = await fetch(`${urls[0]}/`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([404, 'unknown']);
  });

  it('says under which id it took a request', async () => {
    const { ask } = await run({ ...single, parts: [echo] });
    expect((await ask({ text: 'x' }, { 'x-dmas-request': 'mine' })).headers.get('x-dmas-request')).toBe('mine');
    expect((await ask({ text: 'x' })).headers.get('x-dmas-request')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('ends a stream that fails with an error event', async () => {
    const { urls } = await run({
      ...single,
      parts: [
        codeAgent(front, async (_input, ctx) => {
          ctx.emit({ text: 'a' });
          throw new Error('halfway');
        }),
      ],
    });
    const response = await fetch(`${urls[0]}/`, { method: 'POST', headers: { accept: 'text/event-stream' }, body: '{"text":"x"}' });
    const events = (await response.text())
      .trim()
      .split('\n\n')
      .map((event) => JSON.parse(event.slice('data: '.length)));
    expect([response.status, events]).toMatchObject([200, [{ chunk: { text: 'a' } }, { error: { code: 'failed', message: 'halfway' } }]]);
  });

  it('answers a streamed request that fails before its first chunk with the status of the error', async () => {
    const { ask } = await run({ ...single, parts: [codeAgent(front, async () => Promise.reject(new Error('at once')))] });
    expect((await ask({ text: 'x' }, { accept: 'text/event-stream' })).status).toBe(500);
  });

  it.each([[[['front', 'back']]], [[['front'], ['back']]]])('cancels the work of a client that goes away (%j)', async (groups) => {
    const started = latch();
    let aborted = false;
    const { urls } = await run({
      entry: front,
      groups,
      parts: [
        codeAgent(front, async (input, ctx) => ctx.call(back, input), { calls: [back] }),
        codeAgent(
          back,
          (input, ctx) =>
            new Promise((resolve) => {
              started.open();
              ctx.signal.addEventListener('abort', () => {
                aborted = true;
                resolve(input);
              });
            }),
        ),
      ],
    });
    const client = request(`${urls[0]}/`, { method: 'POST' });
    client.on('error', () => {});
    client.end('{"text":"x"}');
    await started.opened;
    client.destroy();
    await until(() => aborted);
  });
});

describe('state', () => {
  const Count = z.object({ n: z.number() });
  const counts = blackboard('counts', Count);
  const counter = codeAgent(
    front,
    async ({ text }, ctx) => {
      const mine = await ctx.session.update('seen', (n) => ((n as number | undefined) ?? 0) + 1);
      const all = await ctx.blackboard(counts).update('all', (current) => ({ n: (current?.n ?? 0) + 1 }));
      return { text: `${text} ${mine} ${all.n}` };
    },
    { usesSession: true, blackboards: [counts] },
  );

  it('is kept per session, and shared on a blackboard', async () => {
    const { ask } = await run({ ...single, parts: [counter] });
    const text = async (session: string) => ((await ask({ text: session }, { 'x-dmas-session': session })).body as { text: string }).text;
    expect([await text('a'), await text('b'), await text('a')]).toEqual(['a 1 1', 'b 1 2', 'a 2 3']);
  });

  it('is updated without a loss by turns that run at once', async () => {
    const { ask } = await run({ ...single, parts: [counter] });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask({ text: 'x' }, { 'x-dmas-session': 's' })));
    const seen = answers.map(({ body }) => Number((body as { text: string }).text.split(' ')[1]));
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  it('is refused to an agent that did not declare it', async () => {
    const { ask } = await run({ ...single, parts: [codeAgent(front, async (input, ctx) => ctx.session.set('k', 1).then(() => input))] });
    expect(errorOf(await ask({ text: 'x' }))).toMatchObject({ code: 'unknown', message: expect.stringContaining('usesSession') });
  });

  it('refuses a value that does not fit the blackboard', async () => {
    const { ask } = await run({
      ...single,
      parts: [
        codeAgent(
          front,
          async (input, ctx) =>
            ctx
              .blackboard(counts)
              .set('k', { m: 1 } as never)
              .then(() => input),
          { blackboards: [counts] },
        ),
      ],
    });
    expect(errorOf(await ask({ text: 'x' }))).toMatchObject({ code: 'invalid', component: 'counts' });
  });
});

describe('a draining unit', () => {
  it('finishes what it has and refuses the rest, so that nothing is lost', async () => {
    const gate = latch();
    let running = 0;
    const { ask, replicas } = await run({
      entry: front,
      groups: [['front'], ['back']],
      parts: [
        codeAgent(front, async (input, ctx) => ctx.call(back, await ctx.call(back, input)), { calls: [back] }),
        codeAgent(back, async ({ text }) => {
          running++;
          if (running <= 5) await gate.opened;
          return { text: `${text}.` };
        }),
      ],
    });
    const before = Array.from({ length: 5 }, (_, i) => ask({ text: String(i) }));
    await until(() => running === 5);
    const drained = replicas.map((replica) => control(replica, 'POST', '/drain'));
    await until(async () => ((await control(replicas[0] as Replica, 'GET', '/stats')).body as { draining: boolean }).draining);
    const late = await ask({ text: 'late' });
    expect([late.status, errorOf(late)]).toMatchObject([503, { code: 'unavailable', neverStarted: true }]);
    gate.open();
    // The second call of each comes to a unit that drains already.
    const answers = await Promise.all(before);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect((await Promise.all(drained)).map(({ body }) => body)).toEqual([{ drained: true }, { drained: true }]);
  });
});

describe('the control address', () => {
  it('is ready once the peers of all routes are known', async () => {
    const { replicas } = await run({
      entry: front,
      groups: [['front'], ['back']],
      parts: [codeAgent(front, async (input, ctx) => ctx.call(back, input), { calls: [back] }), codeAgent(back, async (input) => input)],
    });
    const first = replicas[0] as Replica;
    expect((await control(first, 'GET', '/readyz')).body).toEqual({ ready: true, missing: [] });
    await control(first, 'PUT', '/peers', { 'unit://unit1/http-json': [] });
    const unready = await control(first, 'GET', '/readyz');
    expect([unready.status, unready.body]).toEqual([503, { ready: false, missing: ['unit://unit1/http-json'] }]);
    expect((await control(first, 'GET', '/healthz')).status).toBe(200);
    expect((await control(first, 'GET', '/nonsense')).status).toBe(404);
    expect((await control(first, 'PUT', '/sampling', { ratio: 2 })).status).toBe(422);
    expect((await control(first, 'POST', '/flush')).body).toEqual({ flushed: true });
  });
});

describe('the gateway', () => {
  async function gate(application: Application, balancing = 'least-outstanding') {
    const deployed = await run(application);
    const service: PlannedService = {
      id: 'gateway',
      kind: 'gateway',
      replicas: 1,
      resources: { vcpu: 1, memoryMb: 128 },
      options: { balancing },
    };
    const free = { host: '127.0.0.1', port: 0 };
    const binding = {
      deploymentId: 'test',
      id: 'gateway',
      replica: 0,
      instanceId: 'gateway.0',
      control: free,
      listen: { 'service://gateway': free },
      peers: deployed.peers,
      otlpEndpoints: [],
      samplingRatio: 0,
      stateDir: '',
      queueLimit: 1,
      drainMs: 500,
    };
    const gateway: StartedProcess = await startGateway(
      service,
      { unit: 'unit0', entry: { kind: 'agent', agent: 'front' }, deadlineMs: 5000 },
      binding,
    );
    cleanups.push(gateway.close);
    return { ...deployed, gateway, url: httpUrl(gateway.report.listen['service://gateway'] as never) };
  }

  it('balances over replicas, and goes on when one is gone', async () => {
    const { url, replicas } = await gate({ ...single, replicas: [3], parts: [echo] });
    const served = async () => {
      const stats = await Promise.all(Array.from({ length: 30 }, (_, i) => askAt(url, { text: String(i) })));
      return stats.map(({ status }) => status);
    };
    expect(new Set(await served())).toEqual(new Set([200]));
    await replicas[1]?.close();
    expect(new Set(await served())).toEqual(new Set([200]));
  });

  it('counts what it answers, streams that end in an error among the failures, and takes new settings', async () => {
    const part = codeAgent(front, async ({ text }, ctx) => {
      ctx.emit({ text: 'first' });
      if (text === 'fail') throw new Error('no');
      if (text === 'slow') await new Promise((resolve) => setTimeout(resolve, 120));
      return { text };
    });
    const { url, gateway, replicas } = await gate({ ...single, parts: [part] });
    const control = httpUrl(gateway.report.control);
    const stats = async (at = control) => (await (await fetch(`${at}/stats`)).json()) as GatewayStats & { ingress?: GatewayStats };
    await askAt(url, { text: 'ok' });
    await askAt(url, { text: 'fail' });
    const stream = { method: 'POST', headers: { accept: 'text/event-stream', 'x-dmas-class': 'chat' } };
    await (await fetch(url, { ...stream, body: '{"text":"ok"}' })).text();
    await (await fetch(url, { ...stream, body: '{"text":"fail"}' })).text();
    const slow = askAt(url, { text: 'slow' });
    await until(async () => ((await stats()).oldestMs ?? 0) > 20);
    await slow;
    const { tally, oldestMs } = await stats();
    expect(oldestMs).toBeNull();
    expect(tally.classes.default).toMatchObject({ requests: 3, outcomes: { failed: 1 } });
    expect(tally.classes.chat).toMatchObject({ requests: 2, outcomes: { failed: 1 } });
    expect(Object.values(tally.classes.chat?.firstChunk ?? {})).toEqual(expect.arrayContaining([expect.any(Number)]));
    const [unit] = replicas;
    const own = unit === undefined ? undefined : (await stats(httpUrl(unit.report.control))).ingress?.tally;
    expect(own?.classes.chat).toMatchObject({ requests: 2, outcomes: { failed: 1 } });

    const ingress = { unit: 'unit0', entry: { kind: 'agent', agent: 'front' }, deadlineMs: 30 };
    await fetch(`${control}/settings`, { method: 'PUT', body: JSON.stringify({ balancing: 'least-outstanding', ingress }) });
    await fetch(`${control}/peers`, {
      method: 'PUT',
      body: JSON.stringify({ ingress: [{ replica: 0, instanceId: 'x', at: { host: '127.0.0.1', port: 9 }, retiring: true }] }),
    });
    expect((await askAt(url, { text: 'ok' })).status).toBe(503);
  });

  it('keeps a session at one replica where agents keep state', async () => {
    const remembers = codeAgent(
      front,
      async (_input, ctx) => ({ text: String(await ctx.session.update('n', (n) => ((n as number | undefined) ?? 0) + 1)) }),
      { usesSession: true },
    );
    const { url } = await gate({ ...single, replicas: [3], parts: [remembers] }, 'session');
    for (const session of ['a', 'b', 'c', 'd']) {
      for (let n = 1; n <= 3; n++)
        expect((await askAt(url, { text: '' }, { 'x-dmas-session': session })).body).toEqual({ text: String(n) });
    }
  });

  it('passes streams, typed errors and cancellation through', async () => {
    let aborted = false;
    const { url } = await gate({
      ...single,
      parts: [
        codeAgent(front, async ({ text }, ctx) => {
          ctx.emit({ text: 'first' });
          if (text === 'fail') throw new Error('no');
          if (text === 'hang') await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
          aborted = ctx.signal.aborted;
          return { text: 'last' };
        }),
      ],
    });
    const stream = await fetch(url, { method: 'POST', headers: { accept: 'text/event-stream' }, body: '{"text":"x"}' });
    expect(await stream.text()).toBe('data: {"chunk":{"text":"first"}}\n\ndata: {"output":{"text":"last"}}\n\n');
    const failed = await askAt(url, { text: 'fail' });
    expect([failed.status, errorOf(failed)]).toMatchObject([500, { code: 'failed', message: 'no', component: 'front' }]);
    const leaving = new AbortController();
    const hanging = await fetch(url, {
      method: 'POST',
      headers: { accept: 'text/event-stream' },
      body: '{"text":"hang"}',
      signal: leaving.signal,
    });
    const reader = hanging.body?.getReader();
    await reader?.read();
    leaving.abort();
    await until(() => aborted);
  });

  it('takes a request that a draining replica refused to another', async () => {
    const { url, replicas } = await gate({ ...single, replicas: [2], parts: [echo], drainMs: 300 });
    await control(replicas[0] as Replica, 'POST', '/drain');
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => askAt(url, { text: String(i) })));
    expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map((_, i) => [200, { text: String(i) }]));
    await control(replicas[1] as Replica, 'POST', '/drain');
    const refused = await askAt(url, { text: 'x' });
    expect([refused.status, errorOf(refused)]).toMatchObject([503, { code: 'unavailable', message: 'the unit is shutting down' }]);
  });

  it('answers typed when there is no replica', async () => {
    const { url, gateway } = await gate({ ...single, parts: [echo] });
    const at = { control: httpUrl(gateway.report.control) };
    expect((await control(at, 'GET', '/readyz')).status).toBe(200);
    await control(at, 'PUT', '/peers', { ingress: [] });
    expect((await control(at, 'GET', '/readyz')).status).toBe(503);
    const answer = await askAt(url, { text: 'x' });
    expect([answer.status, errorOf(answer)]).toMatchObject([503, { code: 'unavailable', neverStarted: true }]);
  });
});
