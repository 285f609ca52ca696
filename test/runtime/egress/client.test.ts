import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http, { createServer, type Server } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlannedService, ProcessBinding } from '../../../compiler/contracts/index.ts';
import { type Egress, installEgress } from '../../../runtime/egress/client.ts';
import { startEgressService } from '../../../runtime/egress/service.ts';
import { createPooledFetch } from '../../../runtime/llm/undici-fetch.ts';
import type { StartedProcess } from '../../../runtime/process-life.ts';

/** Addresses of this machine's loopback network are never sent through a proxy, so the outside is played by another of its names. */
const outside = '0.0.0.0';

let upstream: Server;
let place: string;
let service: StartedProcess;
let egress: Egress;
const environment = { ...process.env };
const seen: string[] = [];

beforeEach(async () => {
  seen.length = 0;
  upstream = createServer((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    response.end('outside');
  });
  upstream.listen(0, '0.0.0.0');
  await once(upstream, 'listening');
  place = `${outside}:${(upstream.address() as AddressInfo).port}`;
  const planned: PlannedService = {
    id: 'egress',
    kind: 'egress',
    replicas: 1,
    resources: { vcpu: 0.25, memoryMb: 128 },
    options: { callers: { mine: [place], other: [] }, networks: [] },
  };
  const any = { host: '127.0.0.1', port: 0 };
  const binding = {
    deploymentId: 'd',
    id: 'egress',
    control: any,
    listen: { 'service://egress/mine': any, 'service://egress/other': any },
    peers: {},
    otlpEndpoints: [],
    drainMs: 0,
  } as unknown as ProcessBinding;
  service = await startEgressService(planned, binding);
});

afterEach(async () => {
  egress.close();
  await service.close();
  upstream.closeAllConnections();
  upstream.close();
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
});

function install(caller: 'mine' | 'other') {
  const address = `service://egress/${caller}`;
  egress = installEgress(address, { otlpEndpoints: [] });
  expect(egress.missing()).toEqual([address]);
  const at = service.report.listen[address];
  if (at === undefined) throw new Error('no listener');
  egress.update({ [address]: [{ replica: 0, instanceId: 'e', at }] });
  expect(egress.missing()).toEqual([]);
}

const stats = async () => {
  if ('path' in service.report.control) throw new Error('no TCP control');
  const reply = await request(`http://127.0.0.1:${service.report.control.port}/stats`);
  return ((await reply.body.json()) as { egress: Record<string, { allowed: object; refused: object[] }> }).egress;
};

const getPlain = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get(url, async (response) => {
        const pieces: Buffer[] = [];
        for await (const piece of response) pieces.push(piece as Buffer);
        resolve(Buffer.concat(pieces).toString());
      })
      .once('error', reject);
  });

describe('a unit with a way out', () => {
  it('sends what the user’s code and our clients call through it', async () => {
    install('mine');
    const pooled = createPooledFetch(4);
    expect(await (await fetch(`http://${place}/global`)).text()).toBe('outside');
    expect(await (await request(`http://${place}/undici`)).body.text()).toBe('outside');
    expect(await getPlain(`http://${place}/node`)).toBe('outside');
    expect(await (await pooled.fetch(`http://${place}/pooled`)).text()).toBe('outside');
    await pooled.close();
    expect(seen).toEqual(['GET /global', 'GET /undici', 'GET /node', 'GET /pooled']);
    expect(await stats()).toMatchObject({ mine: { allowed: { [place]: 4 }, refused: [] }, other: { allowed: {} } });
  });

  it('is refused what it did not declare, with words that say what to do', async () => {
    install('other');
    const pooled = createPooledFetch(4);
    const refused = /may not be called from here: no component of it declares that place/;
    await expect(fetch(`http://${place}/`)).rejects.toMatchObject({ cause: { message: expect.stringMatching(refused) } });
    await expect(request(`http://${place}/`)).rejects.toThrow(refused);
    await expect(getPlain(`http://${place}/`)).rejects.toThrow(refused);
    await expect(pooled.fetch(`http://${place}/`)).rejects.toThrow(refused);
    await expect(new Promise((_resolve, reject) => https.get(`https://${place}/`).once('error', reject))).rejects.toThrow(refused);
    await pooled.close();
    expect(seen).toEqual([]);
    expect((await stats()).other?.refused).toEqual([{ place, reason: 'undeclared', count: 5 }]);
  });

  it('tells programs it starts', async () => {
    install('mine');
    const curl = promisify(execFile)('curl', ['-sS', `http://${place}/curl`]);
    expect((await curl).stdout).toBe('outside');
    expect((await stats()).mine?.allowed).toEqual({ [place]: 1 });
  });

  it('calls its own deployment directly', async () => {
    install('other');
    const { port } = upstream.address() as AddressInfo;
    egress.update({ 'unit://b/http-json': [{ replica: 0, instanceId: 'b', at: { host: outside, port } }] });
    expect(await (await fetch(`http://${place}/peer`)).text()).toBe('outside');
    expect(await getPlain(`http://127.0.0.1:${port}/loopback`)).toBe('outside');
    expect((await stats()).other?.refused).toEqual([]);
  });

  it('calls nobody outside before it was told the way', async () => {
    egress = installEgress('service://egress/mine', { otlpEndpoints: [] });
    await expect(fetch(`http://${place}/`)).rejects.toMatchObject({ cause: { message: expect.stringContaining('has not been told') } });
    expect(seen).toEqual([]);
  });
});

describe('a unit without one', () => {
  it('calls out as it always did', async () => {
    const before = [http.globalAgent, https.globalAgent];
    egress = installEgress(undefined, { otlpEndpoints: [] });
    expect([http.globalAgent, https.globalAgent]).toEqual(before);
    expect(await (await fetch(`http://${place}/`)).text()).toBe('outside');
    expect((await stats()).mine?.allowed).toEqual({});
  });
});
