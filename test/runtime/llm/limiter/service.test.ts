import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type BindAddress, httpUrl, type ModelLimits, type ProcessBinding } from '../../../../compiler/contracts/index.ts';
import { LimiterClient } from '../../../../runtime/llm/limiter/client.ts';
import { startLimiterService } from '../../../../runtime/llm/limiter/service.ts';
import { until } from '../../agent/harness.ts';
import { strictProvider } from './strict-provider.ts';

const childFile = fileURLToPath(new URL('./hammer-child.ts', import.meta.url));
const address = 'service://limiter';
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const bindingAt = (at: BindAddress): ProcessBinding => ({
  deploymentId: 'd',
  id: 'limiter',
  replica: 0,
  instanceId: 'limiter.0',
  control: { host: '127.0.0.1', port: 0 },
  listen: { [address]: at },
  peers: {},
  otlpEndpoints: [],
  samplingRatio: 0,
  stateDir: tmpdir(),
  queueLimit: 100,
  drainMs: 500,
});

async function startLimiter(limits: ModelLimits, listen: BindAddress = { host: '127.0.0.1', port: 0 }) {
  const service = {
    id: 'limiter',
    kind: 'limiter' as const,
    replicas: 1,
    resources: { vcpu: 0.25, memoryMb: 128 },
    options: { limits: { main: { ...limits } } },
  };
  const started = await startLimiterService(service, bindingAt(listen));
  const at = started.report.listen[address] as { host: string; port: number };
  const control = httpUrl(started.report.control);
  const stats = async () =>
    ((await (await fetch(`${control}/stats`)).json()) as { limiter: { main: Record<string, number> } }).limiter.main;
  cleanUps.push(() => started.close());
  return { at, stats, close: () => started.close() };
}

function clientOf(at: BindAddress): LimiterClient {
  const client = new LimiterClient(address);
  client.update({ [address]: [{ replica: 0, instanceId: 'limiter.0', at }] });
  cleanUps.push(() => client.close());
  return client;
}

async function hammer(at: { host: string; port: number }, url: string, calls: number, atOnce: number): Promise<ChildProcess> {
  const args = ['--import', 'tsx', childFile, `${at.host}:${at.port}`, url, String(calls), String(atOnce)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanUps.push(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}
const never = () => new AbortController().signal;

describe('limits shared by processes', () => {
  it('are never passed at the provider, neither in any window nor at once', async () => {
    const windowMs = 1_000;
    // 20 requests or 750 tokens a second: 15 calls of 50 tokens.
    const limiter = await startLimiter({ requestsPerMinute: 1_200, tokensPerMinute: 45_000, concurrency: 4, windowMs });
    const provider = await strictProvider(15, 30, 20);
    cleanUps.push(provider.close);
    const children = await Promise.all([1, 2, 3].map(() => hammer(limiter.at, provider.url, 16, 8)));
    const codes = await Promise.all(children.map(async (child) => child.exitCode ?? (await once(child, 'exit'))[0]));
    expect(codes).toEqual([0, 0, 0]);
    expect(provider.seen.total).toBe(48);
    expect(provider.seen.mostAtOnce).toBeLessThanOrEqual(4);
    expect(provider.most(windowMs).requests).toBeLessThanOrEqual(20);
    expect(provider.most(windowMs).tokens).toBeLessThanOrEqual(750);
    // They were used, too.
    expect(provider.most(windowMs).requests).toBeGreaterThanOrEqual(14);
    expect(await limiter.stats()).toMatchObject({ granted: 48, inUse: 0, waiting: 0 });
  }, 30_000);

  it('come back from a process that was killed', async () => {
    const limiter = await startLimiter({ concurrency: 2, windowMs: 1_000 });
    const provider = await strictProvider(undefined, 30, 20);
    cleanUps.push(provider.close);
    const holding = await hammer(limiter.at, provider.url, 5, 5);
    await until(async () => (await limiter.stats()).waiting === 3 && provider.seen.total === 2);
    const other = clientOf(limiter.at);
    let granted = false;
    const permit = other.enter('main', 50, never()).then((given) => {
      granted = true;
      return given;
    });
    await until(async () => (await limiter.stats()).waiting === 4);
    expect(granted).toBe(false);
    expect(provider.seen.total).toBe(2);
    holding.kill('SIGKILL');
    (await permit).leave();
    await until(async () => (await limiter.stats()).inUse === 0);
    expect(await limiter.stats()).toMatchObject({ waiting: 0, inUse: 0 });
    expect(provider.seen.mostAtOnce).toBe(2);
  }, 20_000);

  it('are waited for until the call ends, which leaves no place in the queue behind', async () => {
    const limiter = await startLimiter({ concurrency: 1, windowMs: 1_000 });
    const client = clientOf(limiter.at);
    const first = await client.enter('main', 10, never());
    await expect(client.enter('main', 10, AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'deadline' });
    const gone = new AbortController();
    const waiting = client.enter('main', 10, gone.signal);
    gone.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    const second = client.enter('main', 10, never());
    first.leave();
    first.leave();
    (await second).leave();
    await until(async () => (await limiter.stats()).inUse === 0);
    await expect(client.enter('other', 10, never())).rejects.toMatchObject({ code: 'failed', message: expect.stringContaining('other') });
  });

  it('hold over a limiter that comes back: what is under way counts, who waits goes on waiting', async () => {
    const first = await startLimiter({ concurrency: 1, windowMs: 1_000 });
    const client = clientOf(first.at);
    const held = await client.enter('main', 10, never());
    const waiting = client.enter('main', 10, never());
    await until(async () => (await first.stats()).waiting === 1);
    await first.close();
    const second = await startLimiter({ concurrency: 1, windowMs: 1_000 }, first.at);
    await until(async () => (await second.stats()).waiting === 1);
    expect(await second.stats()).toMatchObject({ inUse: 1, waiting: 1 });
    held.leave();
    (await waiting).leave();
  });
});
