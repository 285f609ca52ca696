import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import {
  addressOf,
  ask,
  dockerRemains,
  factsBehind,
  factsOf,
  fixturePlan,
  fixtureRequest,
  temporaryFolder,
  testContext,
} from '../fixtures.ts';
import { secondEngineMissing, startSecondEngine } from './second-engine.ts';
import { testSettings } from './settings.ts';

const full = process.env.DMAS_OPT_FULL === '1';
const reason = full ? secondEngineMissing() : 'set DMAS_OPT_FULL=1';

describe.skipIf(reason !== '')(`an engine on another machine, over TLS${reason ? `: skipped, ${reason}` : ''}`, () => {
  const root = temporaryFolder();
  const target = createDockerTarget(testSettings);
  let engine: Awaited<ReturnType<typeof startSecondEngine>> | undefined;
  beforeAll(async () => {
    engine = await startSecondEngine(root);
    for (const [name, value] of Object.entries(engine.environment)) vi.stubEnv(name, value);
  }, 90_000);
  afterAll(async () => {
    vi.unstubAllEnvs();
    await engine?.stop();
    rmSync(root, { recursive: true, force: true });
  }, 60_000);

  it('is found by DOCKER_HOST and its certificates, and refused without them', async () => {
    expect(await target.check()).toEqual([]);
    vi.stubEnv('DOCKER_CERT_PATH', undefined);
    vi.stubEnv('DOCKER_TLS_VERIFY', undefined);
    const [problem] = await target.check();
    expect(problem).toMatchObject({ code: 'DMAS_ENV_TARGET', severity: 'error' });
    for (const [name, value] of Object.entries(engine?.environment ?? {})) vi.stubEnv(name, value);
  }, 30_000);

  it('runs units that this machine and each other reach, sends traces here, brings state back, and keeps nothing', async () => {
    const received: { url: string | undefined; body: string }[] = [];
    const receiver = createServer((incoming, outgoing) => {
      let body = '';
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => {
        received.push({ url: incoming.url, body });
        outgoing.end('{"partialSuccess":{}}');
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const folder = join(root, 'deployment');
    mkdirSync(folder);
    const plan = fixturePlan('docker', [{ id: 'a', ingress: true, calls: ['b'] }, { id: 'b' }]);
    const otlpEndpoints = [`http://127.0.0.1:${(receiver.address() as AddressInfo).port}`];
    const request = fixtureRequest(plan, folder, { otlpEndpoints, readyTimeoutMs: 90_000 });
    const deployment = await target.deploy(request, testContext());
    try {
      const [url = ''] = deployment.ingressUrls;
      expect(new URL(url).hostname).toBe(engine?.address);
      expect((await factsBehind(url, addressOf('b'))).map(({ id }) => id)).toEqual(['b']);
      // Nothing listens for traces on that machine: they come through the standard streams of a container.
      const inside = new URL((await factsOf(url)).otlpEndpoints[0] ?? '');
      const at = { host: inside.hostname, port: Number(inside.port) };
      expect(await ask(url, '/post', { at, path: `${inside.pathname}/v1/traces` })).toEqual({ partialSuccess: {} });
      expect(received).toEqual([{ url: '/v1/traces', body: '{}' }]);
      await ask(url, '/file', { path: '/state/kept.json', content: '{"kept":true}' });
    } finally {
      await deployment.stop();
      receiver.close();
    }
    expect(readFileSync(join(folder, 'state', 'kept.json'), 'utf8')).toBe('{"kept":true}');
    expect(existsSync(join(folder, 'state', 'state'))).toBe(false);
    expect(await dockerRemains(request.deploymentId)).toEqual([]);
    expect((await engine?.docker.listVolumes())?.Volumes ?? []).toEqual([]);
  }, 180_000);
});
