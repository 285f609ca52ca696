import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { collectors } from '../../../../cli/registry.ts';
import type { MetricsCollector } from '../../../../profiler/collect/collector.ts';
import { isMetricsCollector } from '../../../../profiler/collect/collector.ts';
import { type PoolSource, type WatchOptions, watchPools } from '../../../../profiler/collect/metrics/watch.ts';
import { createModelServer, type ModelServer } from '../../../../runtime/llm/server/model-server.ts';
import { dcgmPage, smiOutput, vllmPage } from './pages.ts';

const all = (): Promise<MetricsCollector[]> => Promise.all([...collectors].filter(isMetricsCollector).map((each) => each.load()));
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(
  answer: () => { readonly status?: number; readonly body: string } | null,
): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server: Server = createServer((_, response) => {
    asked++;
    const given = answer();
    // Nothing at all: a server that hangs.
    if (given !== null) response.writeHead(given.status ?? 200).end(given.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`, asked: () => asked };
}

const source = (url: string, more: Partial<PoolSource> = {}): PoolSource => ({
  pool: 'main',
  model: 'main',
  wireModel: 'm',
  source: 'vllm',
  servers: () => [{ id: url, url, gpus: [] }],
  ...more,
});
const everything = { fromMs: 0, toMs: 1e9 };

async function watch(sources: readonly PoolSource[], until: () => boolean, more: Partial<WatchOptions> = {}) {
  const watching = watchPools(sources, { collectors: await all(), now: Date.now, startedAtMs: Date.now(), intervalMs: 10, ...more });
  await watching.begun;
  while (!until()) await sleep(5);
  return watching.stop(everything);
}

describe('the watch over pools', () => {
  it('asks again and again, and says what happened in between', async () => {
    let tokensOut = 1_000;
    const page = await serve(() => {
      tokensOut += 5;
      return { body: vllmPage({ engines: [{ tokensOut, running: 2 }] }) };
    });
    const [load] = await watch([source(page.url)], () => page.asked() >= 4);
    expect(load?.tokensOut).toBe(5 * (page.asked() - 1));
    expect(load?.samples.length).toBe(page.asked());
    expect(load).toMatchObject({ pool: 'main', gaps: 0 });
  });

  it('counts what fails as gaps: errors, nonsense, silence', async () => {
    const first = { body: vllmPage({ engines: [{ tokensOut: 2 }] }) };
    const answers = [first, { body: 'no metrics here' }, { status: 500, body: '' }, null];
    let next = 0;
    const page = await serve(() => {
      const answer = answers[next];
      next++;
      return answer === undefined ? { body: vllmPage({ engines: [{ tokensOut: 9 }] }) } : answer;
    });
    const [load] = await watch([source(page.url)], () => page.asked() >= 6, { timeoutMs: 200 });
    expect(load).toMatchObject({ gaps: 3, tokensOut: 7 });
  });

  it('finds GPUs on the page of the engine, on a page of their own, or asks this machine for those a server holds', async () => {
    const page = vllmPage({ engines: [{}] });
    const both = await serve(() => ({ body: page + dcgmPage }));
    const plain = await serve(() => ({ body: page }));
    const dcgm = await serve(() => ({ body: dcgmPage }));
    const held = { servers: () => [{ id: 'one', url: plain.url, gpus: ['1'] }] };
    const ran: string[] = [];
    const loads = await watch(
      [
        source(both.url, { pool: 'both' }),
        source(plain.url, { pool: 'exporter', gpuUrl: dcgm.url }),
        source(plain.url, { pool: 'here', ...held }),
        source(plain.url, { pool: 'nowhere' }),
      ],
      () => plain.asked() >= 4,
      {
        run: async (command) => {
          ran.push(command.join(' '));
          return smiOutput;
        },
      },
    );
    const ids = Object.fromEntries(loads.map(({ pool, gpu }) => [pool, gpu[0]?.gpus.map(({ id }) => id) ?? []]));
    expect(ids).toEqual({ both: ['GPU-aaaa', 'GPU-bbbb'], exporter: ['GPU-aaaa', 'GPU-bbbb'], here: ['GPU-bbbb'], nowhere: [] });
    expect(ran[0]).toBe(
      'nvidia-smi --query-gpu=index,uuid,utilization.gpu,memory.used,memory.total,power.draw --format=csv,noheader,nounits',
    );
  });

  it('runs a program of this machine no more than once where it is not there', async () => {
    const page = await serve(() => ({ body: vllmPage({ engines: [{}] }) }));
    let ran = 0;
    const held = { servers: () => [{ id: 'one', url: page.url, gpus: ['0'] }] };
    const [load] = await watch([source(page.url, held)], () => page.asked() >= 4, {
      run: async () => {
        ran++;
        throw new Error('ENOENT');
      },
    });
    expect([ran, load?.gpu]).toEqual([1, []]);
  });

  it('tells once when a limit is passed, or when a protected pool is silent', async () => {
    const told: string[] = [];
    const busy = await serve(() => ({ body: vllmPage({ engines: [{ waiting: 3 }, { waiting: 4, kvUse: 0.97 }] }) }));
    const silent = await serve(() => ({ status: 503, body: '' }));
    const quiet = await serve(() => ({ body: vllmPage({ engines: [{ waiting: 6, kvUse: 0.5 }] }) }));
    await watch(
      [
        source(busy.url, { pool: 'queue', limit: { maxWaiting: 6 } }),
        source(busy.url, { pool: 'cache', limit: { maxWaiting: 7, maxKvUse: 0.9 } }),
        source(silent.url, { pool: 'silent', limit: { maxWaiting: 6 } }),
        source(silent.url, { pool: 'free' }),
        source(quiet.url, { pool: 'quiet', limit: { maxWaiting: 6, maxKvUse: 0.5 } }),
      ],
      () => silent.asked() >= 10,
      { onLimit: (detail) => told.push(detail) },
    );
    expect(told.sort()).toEqual([
      '7 requests waited in pool queue, of all who use it; at most 6 may.',
      '97 % of the KV cache of pool cache was in use; at most 90 % may be.',
      'Pool silent did not tell its load 3 times in a row, so it could not be protected.',
    ]);
  });

  it('reads the simulated server', async () => {
    const model: ModelServer = createModelServer('main', { model: 'm', stepFixedMs: 1 });
    await new Promise<void>((resolve) => model.server.listen(0, '127.0.0.1', resolve));
    closers.push(() => model.close(0));
    const base = `http://127.0.0.1:${(model.server.address() as AddressInfo).port}`;
    const ask = () =>
      fetch(`${base}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'tides and moons' }] }),
      }).then((response) => response.json() as Promise<{ usage: { prompt_tokens: number; completion_tokens: number } }>);
    await ask();
    const watching = watchPools([source(`${base}/metrics`, { source: 'simulated' })], {
      collectors: await all(),
      now: Date.now,
      startedAtMs: Date.now(),
      intervalMs: 10,
    });
    await watching.begun;
    const replies = [await ask(), await ask(), await ask()];
    const [load] = await watching.stop(everything);
    const sum = (key: 'prompt_tokens' | 'completion_tokens') => replies.reduce((total, { usage }) => total + usage[key], 0);
    expect(load).toMatchObject({ source: 'simulated', tokensIn: sum('prompt_tokens'), tokensOut: sum('completion_tokens'), gaps: 0 });
    expect(load?.timeToFirstTokenMs?.counts.reduce((total, count) => total + count, 0)).toBe(3);
    expect(load?.samples.every(({ kvUse }) => kvUse !== null && kvUse >= 0 && kvUse <= 1)).toBe(true);
  });
});
