import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { httpUrl, type ProcessBinding, type StartedReport, startedPrefix } from '../../../compiler/contracts/binding.ts';
import { ask, control } from './harness.ts';

const root = resolve(import.meta.dirname, '../../..');
const entry = `
import { agent, codeAgent, z } from '${root}/compiler/api/index.ts';
import { startUnit } from '${root}/runtime/agent/unit.ts';
import { memory } from '${root}/runtime/state/memory.ts';
const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: Text });
await startUnit({
  application: 'app',
  unit: { id: 'u', agents: ['front'], toolServers: [], replicas: 1, resources: { vcpu: 1, memoryMb: 64 }, listens: [], routes: [], topics: [], models: {}, state: { store: 'memory', options: {} }, secrets: [], ingress: true },
  ingress: { unit: 'u', entry: { kind: 'agent', agent: 'front' }, deadlineMs: 5000 },
  parts: [codeAgent(front, async (input, ctx) => { ctx.log('working'); await new Promise((done) => setTimeout(done, 150)); return input; })],
  toolServers: [], topics: [], entry: front, protocols: [], backends: [], store: memory, graphs: [],
});
`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A collector that counts the exports it gets. */
async function collector(): Promise<{ url: string; bodies: Buffer[] }> {
  const bodies: Buffer[] = [];
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      bodies.push(Buffer.concat(pieces));
      response.end();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  cleanups.push(() => new Promise((done) => server.close(done)));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies };
}

async function start(environment: { [name: string]: string } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'dmas-process-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const otlp = await collector();
  const free = { host: '127.0.0.1', port: 0 };
  const binding: ProcessBinding = {
    deploymentId: 'd',
    id: 'u',
    replica: 0,
    instanceId: 'u.0',
    control: free,
    listen: { ingress: free },
    peers: {},
    otlpEndpoints: [otlp.url],
    samplingRatio: 1,
    stateDir: folder,
    queueLimit: 10,
    drainMs: 2000,
  };
  await writeFile(join(folder, 'binding.json'), JSON.stringify(binding));
  await writeFile(join(folder, 'entry.mts'), entry);
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), join(folder, 'entry.mts')], {
    env: { ...process.env, DMAS_BINDING: join(folder, 'binding.json'), ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  cleanups.push(() => child.kill('SIGKILL'));
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const lines: string[] = [];
  const report = await new Promise<StartedReport>((done, fail) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (line.startsWith(startedPrefix)) done(JSON.parse(line.slice(startedPrefix.length)));
    });
    child.once('exit', (code) => fail(new Error(`ended with ${code}: ${errors.join('\n')}`)));
  });
  return { child, report, lines, errors, bodies: otlp.bodies, url: httpUrl(report.listen.ingress as never), ended: ended(child) };
}

const ended = (child: ChildProcess) => new Promise<number | null>((done) => child.once('exit', done));

describe('a unit process', () => {
  it('reports where it listens, serves, and on SIGTERM finishes what is in flight, sends its spans and exits 0', async () => {
    const { child, report, lines, errors, bodies, url, ended: end } = await start();
    expect(report.pid).toBe(child.pid);
    expect((await control({ control: httpUrl(report.control) }, 'GET', '/readyz')).status).toBe(200);
    const answer = ask(url, { text: 'hello' });
    await expect.poll(() => errors).toContainEqual(expect.stringContaining('working'));
    child.kill('SIGTERM');
    expect(await answer).toMatchObject({ status: 200, body: { text: 'hello' } });
    expect(await end).toBe(0);
    expect(lines.length).toBe(1);
    expect(Buffer.concat(bodies).includes('invoke_agent front')).toBe(true);
  });

  it('ends with its standard input when it is told to', async () => {
    const { child, ended: end } = await start({ DMAS_EXIT_WITH_STDIN: '1' });
    child.stdin?.end();
    expect(await end).toBe(0);
  });

  it('sends its spans when asked to flush', async () => {
    const { report, bodies, url } = await start();
    await ask(url, { text: 'x' });
    await control({ control: httpUrl(report.control) }, 'POST', '/flush');
    expect(Buffer.concat(bodies).includes('ingress')).toBe(true);
  });
});
