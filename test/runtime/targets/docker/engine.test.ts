import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createOptions } from '../../../../runtime/targets/docker/bridge.ts';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { openEngine, placeOf } from '../../../../runtime/targets/docker/engine.ts';
import { parseRange } from '../../../../runtime/targets/docker/subnets.ts';
import { testSettings } from './settings.ts';

const version = (engine: string) => ({
  Version: '4.3.1',
  ApiVersion: '1.41',
  Os: process.platform,
  Arch: process.arch === 'x64' ? 'amd64' : process.arch,
  Components: [{ Name: engine, Version: '4.3.1' }],
});

describe('which engine it is', () => {
  let server: Server | undefined;
  afterEach(() => {
    vi.unstubAllEnvs();
    server?.close();
  });
  const engineNamed = async (name: string) => {
    server = createServer(({ url = '' }, answer) => {
      answer.setHeader('content-type', 'application/json');
      answer.end(url.endsWith('/_ping') ? 'OK' : JSON.stringify(version(name)));
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    vi.stubEnv('DOCKER_HOST', `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`);
  };

  it('is asked before anything is made: Podman cannot keep units apart, and is told so', async () => {
    await engineNamed('Podman Engine');
    const [problem] = await createDockerTarget(testSettings).check();
    expect(problem).toMatchObject({ code: 'DMAS_ENV_TARGET', severity: 'error', message: expect.stringMatching(/Podman 4\.3\.1/) });
    expect(problem?.fix).toContain('export');
  });

  it('is fine when it is Docker', async () => {
    await engineNamed('Engine');
    expect(await createDockerTarget(testSettings).check()).toEqual([]);
  });

  it('is here behind a socket or on the loopback, and elsewhere at any other address', async () => {
    vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:2375');
    expect(await placeOf(await openEngine())).toMatchObject({ local: true, publishAt: '127.0.0.1' });
    vi.stubEnv('DOCKER_HOST', 'unix:///var/run/docker.sock');
    expect(await placeOf(await openEngine())).toMatchObject({ local: true });
    vi.stubEnv('DOCKER_HOST', 'tcp://192.0.2.7:2376');
    expect(await placeOf(await openEngine())).toMatchObject({ local: false, publishAt: '192.0.2.7', reachedAt: '192.0.2.7' });
  });
});

describe('the networks asked for', () => {
  const subnet = parseRange('10.213.4.0/28');
  const of = (kind: 'members' | 'control' | 'outside', local = true) =>
    createOptions({ name: 'n', kind, members: 2, deploymentId: 'd', local, subnets: '' }, subnet);

  it('are internal for members, without an address of the engine’s machine', () => {
    expect(of('members')).toMatchObject({ Internal: true, Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } });
  });

  it('keep containers apart and lead nowhere for control', () => {
    expect(of('control')).toMatchObject({
      Internal: false,
      Options: { 'com.docker.network.bridge.enable_icc': 'false', 'com.docker.network.bridge.enable_ip_masquerade': 'false' },
      IPAM: { Config: [{ Gateway: '10.213.4.1', AuxiliaryAddresses: { DefaultGatewayIPv4: '10.213.4.2' } }] },
    });
    // Answers to another machine need a route.
    expect(JSON.stringify(of('control', false))).not.toContain('AuxiliaryAddresses');
  });

  it('have a way out for those that call the world', () => {
    expect(of('outside')).toMatchObject({ Internal: false, Options: { 'com.docker.network.bridge.enable_ip_masquerade': 'true' } });
    expect(JSON.stringify(of('outside'))).not.toContain('AuxiliaryAddresses');
  });
});
