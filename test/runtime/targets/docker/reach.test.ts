import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDockerTarget } from '../../../../runtime/targets/docker/create.ts';
import { openEngine } from '../../../../runtime/targets/docker/engine.ts';
import type { Deployment } from '../../../../runtime/targets/target.ts';
import { addressOf, ask, bundlesOf, fixturePlan, fixtureRequest, fixtureService, temporaryFolder, testContext } from '../fixtures.ts';
import { testSettings } from './settings.ts';

const target = createDockerTarget(testSettings);
const [missing] = await target.check();
/** What answers at all answers at once here; a packet that is dropped is never answered. */
const waitMs = 1_500;
/** An address of this machine that is none of a container network, as any host of the world. */
const world = Object.entries(networkInterfaces())
  .flatMap(([name, list = []]) => (/^(br-|docker|veth)/.test(name) ? [] : list))
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

describe.skipIf(missing)(`from inside containers${missing ? `: skipped, ${missing.message}` : ''}`, () => {
  const root = temporaryFolder();
  let deployment: Deployment;
  let url = '';
  const server = createServer((socket) => socket.end());
  let outside = { host: world ?? '127.0.0.1', port: 0 };

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const at = server.address();
    outside = { ...outside, port: at && typeof at === 'object' ? at.port : 0 };
    mkdirSync(join(root, 'deployment'));
    // a calls b and c, and out calls the world; b and c are strangers.
    const plan = fixturePlan(
      'docker',
      [
        { id: 'a', ingress: true, calls: ['b', 'c', 'out'] },
        { id: 'b', calls: ['service://model-x'] },
        { id: 'c' },
        { id: 'out', calls: [`http://${outside.host}:${outside.port}`] },
      ],
      [fixtureService('model-x')],
    );
    deployment = await target.deploy(
      fixtureRequest(plan, join(root, 'deployment'), { bundles: bundlesOf(plan), readyTimeoutMs: 60_000 }),
      testContext(),
    );
    [url = ''] = deployment.ingressUrls;
  }, 90_000);
  afterAll(async () => {
    await deployment?.stop();
    server.close();
    rmSync(root, { recursive: true, force: true });
  }, 60_000);

  const inside = <T>(id: string, path: string, body: object): Promise<T> =>
    id === 'a' ? ask<T>(url, path, body) : ask<T>(url, '/via', { address: addressOf(id), path, body });
  const reach = (from: string, at: { readonly host: string; readonly port: number }) => inside<string>(from, '/reach', { ...at, waitMs });

  /** Every address of a unit's containers, on whatever network, and every port it may listen on. */
  async function placesOf(id: string): Promise<{ host: string; port: number }[]> {
    const docker = await openEngine();
    const filters = JSON.stringify({ label: [`dmas-opt.deployment=${deployment.id}`, `dmas-opt.replica`] });
    const containers = await docker.listContainers({ filters });
    const own = containers.filter(({ Labels }) => Labels['dmas-opt.replica']?.startsWith(`${id}.`));
    const hosts = own.flatMap(({ NetworkSettings }) => Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress));
    return hosts.flatMap((host) => [7000, 7001].map((port) => ({ host, port })));
  }

  it('a unit reaches whom it calls', async () => {
    expect((await inside<{ id: string }[]>('a', '/ask', { address: addressOf('b') })).map(({ id }) => id)).toEqual(['b']);
    expect((await inside<{ id: string }[]>('a', '/ask', { address: addressOf('c') })).map(({ id }) => id)).toEqual(['c']);
    expect((await inside<{ id: string }[]>('b', '/ask', { address: 'service://model-x' })).map(({ id }) => id)).toEqual(['model-x']);
  });

  it.each([
    ['b', 'c'],
    ['c', 'b'],
    ['c', 'model-x'],
    ['a', 'model-x'],
    ['model-x', 'a'],
  ])('%s reaches no port of %s at any address, nor its name', async (from, to) => {
    if (from === 'model-x')
      return expect(await Promise.all((await placesOf('a')).map((place) => reachFromModel(place)))).not.toContain('open');
    const places = await placesOf(to);
    expect(places.length).toBeGreaterThan(1);
    expect(await Promise.all(places.map((place) => reach(from, place)))).not.toContain('open');
    expect(await reach(from, { host: `${to}-any`, port: 7001 })).not.toBe('open');
  });
  const reachFromModel = (place: object) =>
    inside<string>('b', '/via', { address: 'service://model-x', path: '/reach', body: { ...place, waitMs } });

  it('out, which has the world, hears nothing of b: whatever answers there is somebody else', async () => {
    const places = (await placesOf('b')).filter(({ port }) => port === 7001);
    const heard = await Promise.all(places.map((place) => inside<unknown>('out', '/hear', { ...place, waitMs })));
    for (const answer of heard) expect(JSON.stringify(answer)).not.toContain(deployment.id);
    // The same question gets through where it may.
    const [own] = (await placesOf('out')).filter(({ port }) => port === 7001);
    expect(JSON.stringify(await inside('out', '/hear', { ...own, waitMs }))).toContain(deployment.id);
  });

  it.skipIf(world === undefined)('the world is reached by those alone that say so', async () => {
    expect(await reach('out', outside)).toBe('open');
    for (const id of ['a', 'b', 'c']) expect(await reach(id, outside)).not.toBe('open');
  });

  it.each(['a', 'b', 'out'])('%s runs without rights: no root, no capabilities, nothing writable but /tmp and its state', async (id) => {
    const status = await inside<string>(id, '/file', { path: '/proc/self/status' });
    expect(status).toMatch(/^Uid:\t(?!0\t)/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    const write = (path: string) => inside<string>(id, '/file', { path, content: 'x' });
    expect(await write('/app/more.mjs')).toMatch(/EROFS|EACCES/);
    expect(await write('/run/dmas-opt/binding.json')).toMatch(/EROFS|EACCES/);
    expect(await write('/etc/passwd')).toMatch(/EROFS|EACCES/);
    expect([await write('/tmp/x'), await write(`/state/${id}`)]).toEqual(['written', 'written']);
  });
});
