import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { TaskState } from '@a2a-js/sdk';
import { DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { layoutOf } from '../../cli/layouts.ts';
import { bindingVariable, httpUrl, type ProcessBinding, type StartedReport, startedPrefix } from '../../compiler/contracts/index.ts';
import { kagentEmitter } from '../../compiler/emit/kagent/emit.ts';
import { contentOf, exported, openExample } from '../compiler/emit/exported.ts';
import { noPython, python, pythonClient } from './a2a-python.ts';

/** People type text; an agent whose input is an object takes it as JSON. */
const question = JSON.stringify({ document: 1, sizeKb: 10, query: 'harbour market winter' });
let folder: string;
let child: ChildProcess | undefined;
/** Where the unit listens for kagent. */
let url: string;
let bound: ProcessBinding['listen'];

/** The program and the binding of an exported Agent, run as its container would, on ports that are free here. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-kagent-'));
  const project = await openExample('document-pipeline');
  const files = await exported(project, kagentEmitter, { configuration: await layoutOf(project, 'all-in-one'), bundled: true });
  const read = (path: string) => parseAllDocuments(contentOf(files, path)).map((document) => document.toJS());
  const { deployment } = read('agents.yaml')[0].spec.byo;
  const map = deployment.volumes.find(({ configMap }: { configMap?: object }) => configMap !== undefined).configMap.name;
  const { data } = read('beside.yaml').find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === map);
  const binding = JSON.parse(data['binding.json']) as ProcessBinding;
  bound = binding.listen;
  const free = { host: '127.0.0.1', port: 0 };
  const listen = Object.fromEntries(Object.keys(binding.listen).map((address) => [address, free]));
  await writeFile(join(folder, 'binding.json'), JSON.stringify({ ...binding, control: free, listen, stateDir: folder }));
  const program = join(folder, basename(deployment.args.at(-1)));
  await writeFile(program, contentOf(files, `image/app/${basename(program)}`));
  child = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH, [bindingVariable]: join(folder, 'binding.json') },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const report = await new Promise<StartedReport>((resolve, reject) => {
    child?.on('exit', (code) => reject(new Error(`the unit ended with ${code}`)));
    createInterface({ input: child?.stdout ?? process.stdin }).on('line', (line) => {
      if (line.startsWith(startedPrefix)) resolve(JSON.parse(line.slice(startedPrefix.length)));
    });
  });
  const door = Object.entries(report.listen).find(([address]) => address.includes('/a2a'))?.[1];
  if (door === undefined) throw new Error(`no A2A among ${Object.keys(report.listen).join(', ')}`);
  url = httpUrl(door);
}, 60_000);

afterAll(async () => {
  child?.removeAllListeners('exit');
  child?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

describe('a unit as an Agent of kagent brings it', () => {
  it('is bound to the port kagent calls', () => {
    expect(Object.entries(bound).filter(([address]) => address.includes('/a2a'))).toEqual([
      [expect.any(String), { host: '0.0.0.0', port: 8080 }],
    ]);
  });

  it('serves the card that kagent waits for, with what clients of 0.3 look for', async () => {
    const response = await fetch(`${url}/.well-known/agent-card.json`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      name: expect.any(String),
      description: expect.any(String),
      version: expect.any(String),
      skills: [expect.objectContaining({ id: expect.any(String) })],
      url: expect.stringContaining(url),
      protocolVersion: '0.3.0',
      supportedInterfaces: expect.arrayContaining([expect.objectContaining({ protocolVersion: '1.0' })]),
    });
  });

  it("takes the call of kagent's controller: 0.3 as JSON-RPC at the root", async () => {
    const message = { kind: 'message', messageId: 'm-1', role: 'user', parts: [{ kind: 'text', text: question }] };
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'message/send', params: { message } }),
    });
    const { result, error } = (await response.json()) as { result?: { kind: string; status: { state: string } }; error?: object };
    expect(error).toBeUndefined();
    expect(result).toMatchObject({ kind: 'task', status: { state: 'completed' } });
  });

  it('answers the official JavaScript client, which finds it by its card', async () => {
    const legacyCompat = { enabled: true };
    const card = await new DefaultAgentCardResolver({ legacyCompat }).resolve(`${url}/`, '.well-known/agent-card.json');
    const old = card.supportedInterfaces.filter(({ protocolVersion }) => protocolVersion.startsWith('0.3'));
    expect(old.length).toBeGreaterThan(0);
    const client = await new JsonRpcTransportFactory({ legacyCompat }).create(old[0]?.url ?? '', { ...card, supportedInterfaces: old });
    const ids = { contextId: '', taskId: '', extensions: [], metadata: undefined, referenceTaskIds: [] };
    const part = { content: { $case: 'text' as const, value: question }, metadata: undefined, filename: '', mediaType: '' };
    const reply = await client.sendMessage({
      tenant: '',
      configuration: undefined,
      metadata: undefined,
      message: { ...ids, messageId: 'm-2', role: 1, parts: [part] },
    });
    expect(reply).toMatchObject({ status: { state: TaskState.TASK_STATE_COMPLETED } });
  });

  it.skipIf(python === undefined)(`answers the Python client in 0.3 (${noPython})`, async () => {
    const { steps } = await pythonClient({ url, binding: 'JSONRPC', streaming: false, version: '0.3', steps: [{ text: question }] });
    const last = steps[0]?.at(-1);
    expect((last?.statusUpdate?.status ?? last?.task?.status)?.state).toBe('TASK_STATE_COMPLETED');
  });
});
