import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  bindingVariable,
  httpUrl,
  type Peers,
  type ProcessBinding,
  type StartedReport,
  startedPrefix,
} from '../../compiler/contracts/index.ts';
import { startServiceProcess } from '../../runtime/service-process.ts';
import { connectStateService } from '../../runtime/state/client.ts';

const binding = (stateDir: string): ProcessBinding => ({
  deploymentId: 'd',
  id: 'state',
  replica: 0,
  instanceId: 'state-0',
  control: { host: '127.0.0.1', port: 0 },
  listen: { 'service://state': { host: '127.0.0.1', port: 0 } },
  peers: {},
  otlpEndpoints: [],
  samplingRatio: 1,
  stateDir,
  queueLimit: 100,
  drainMs: 1000,
});

const ask = async (client: Client, method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) => {
  const reply = await client.request({ method, path, body: body === undefined ? null : JSON.stringify(body) });
  await reply.body.dump();
  return reply.statusCode;
};

describe('startServiceProcess with a binding of its caller', () => {
  it('answers on the control address and hands peers on', async () => {
    const got: Peers[] = [];
    let closed = false;
    const process = await startServiceProcess(
      {
        listen: async () => ({
          report: { 'service://x': { host: '127.0.0.1', port: 1 } },
          close: async () => {
            closed = true;
          },
        }),
        peers: (peers) => {
          if ('unit://bad' in peers) throw new Error('bad peers');
          got.push(peers);
        },
      },
      binding('unused'),
    );
    const client = new Client(httpUrl(process.report.control));
    expect(process.report.listen).toEqual({ 'service://x': { host: '127.0.0.1', port: 1 } });
    expect(await ask(client, 'GET', '/healthz')).toBe(200);
    expect(await ask(client, 'GET', '/readyz')).toBe(200);
    const peers: Peers = { 'unit://a/http-json': [{ replica: 0, instanceId: 'a-0', at: { host: '127.0.0.1', port: 2 } }] };
    expect(await ask(client, 'PUT', '/peers', peers)).toBe(200);
    expect(got).toEqual([peers]);
    expect(await ask(client, 'PUT', '/peers', { 'unit://bad': [] })).toBe(400);
    expect(await ask(client, 'PUT', '/sampling', { ratio: 0.1 })).toBe(200);
    expect(await ask(client, 'POST', '/flush')).toBe(200);
    expect(await ask(client, 'GET', '/nothing')).toBe(404);
    await client.destroy();
    await process.close();
    await process.close();
    expect(closed).toBe(true);
  });

  it('leaves no control server when the service cannot start', async () => {
    const servers = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
    // The server of the test before may still be going.
    await expect.poll(servers).toBe(0);
    await expect(startServiceProcess({ listen: () => Promise.reject(new Error('no port')) }, binding('unused'))).rejects.toThrow('no port');
    await expect.poll(servers).toBe(0);
  });
});

describe('a state service as a process', () => {
  let folder: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-service-'));
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  it('reads its binding, says where it listens, serves, and ends with 0 on SIGTERM', async () => {
    const file = join(folder, 'binding.json');
    await writeFile(file, JSON.stringify(binding(join(folder, 'state'))));
    const entry = fileURLToPath(new URL('./state/state-service-child.ts', import.meta.url));
    const started = spawn(process.execPath, ['--import', 'tsx', entry], {
      env: { ...process.env, [bindingVariable]: file },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    const [line] = (await once(started.stdout, 'data')) as [Buffer];
    expect(line.toString().startsWith(startedPrefix)).toBe(true);
    const report = JSON.parse(line.toString().slice(startedPrefix.length)) as StartedReport;
    expect(report.pid).toBe(started.pid);
    const at = report.listen['service://state'];
    if (at === undefined) throw new Error('no address');
    const store = connectStateService(at);
    expect(await store.put('a', 1, 0)).toBe(true);
    expect((await store.get('a'))?.value).toBe(1);
    started.kill('SIGTERM');
    expect(await once(started, 'exit')).toEqual([0, null]);
    await store.close();
  });
});
