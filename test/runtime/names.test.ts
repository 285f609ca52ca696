import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { httpUrl, type Peers, type ProcessBinding } from '../../compiler/contracts/index.ts';
import { instanceAt, isInstanceAt, type NameService, watchNames } from '../../runtime/names.ts';
import { startServiceProcess } from '../../runtime/service-process.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A name service that says what it is told to; a host it does not know is not found. */
function service(hosts: { [host: string]: readonly string[] }, names: { [address: string]: string } = {}): NameService {
  return {
    addresses: async (host) => hosts[host] ?? Promise.reject(new Error(`ENOTFOUND ${host}`)),
    nameOf: async (address) => names[address],
  };
}

/** What a watch has given so far, merged, and how often. */
function watching(hosts: { [host: string]: readonly string[] }, names: { [address: string]: string } = {}) {
  const got: { peers: Peers; times: number } = { peers: {}, times: 0 };
  const watch = watchNames({
    names: { 'unit://w/http-json': { host: 'w', port: 7001 }, 'service://state': { host: 'state', port: 7001 } },
    give: (peers) => {
      got.peers = { ...got.peers, ...peers };
      got.times++;
    },
    service: service(hosts, names),
    everyMs: 5,
  });
  cleanups.push(() => watch.close());
  return got;
}

const numbersOf = (peers: Peers) => (peers['unit://w/http-json'] ?? []).map(({ at, replica }) => ['host' in at && at.host, replica]);

describe('names looked up for peers', () => {
  it('gives every address found, at once, and what changes later', async () => {
    const hosts = { w: ['10.0.0.3', '10.0.0.2'], state: ['10.0.0.9'] };
    const got = watching(hosts);
    await vi.waitFor(() => expect(numbersOf(got.peers)).toHaveLength(2));
    expect(got.peers['service://state']).toMatchObject([{ at: { host: '10.0.0.9', port: 7001 } }]);
    hosts.w = ['10.0.0.2', '10.0.0.3', '10.0.0.4'];
    await vi.waitFor(() => expect(numbersOf(got.peers)).toHaveLength(3));
    expect(got.times).toBe(3);
  });

  it('keeps the last answer when a lookup fails or is empty', async () => {
    const hosts: { [host: string]: readonly string[] } = { w: ['10.0.0.2'], state: ['10.0.0.9'] };
    const got = watching(hosts);
    await vi.waitFor(() => expect(got.times).toBe(2));
    delete hosts.w;
    hosts.state = [];
    await new Promise((done) => setTimeout(done, 40));
    expect(got.times).toBe(2);
    hosts.w = ['10.0.0.7'];
    await vi.waitFor(() => expect(numbersOf(got.peers).flat()).toContain('10.0.0.7'));
  });

  it('numbers replicas by their own names, so that callers on different networks agree', async () => {
    const one = watching({ w: ['10.0.1.2', '10.0.1.3'] }, { '10.0.1.2': 'shop-w-2.shop_a', '10.0.1.3': 'shop-w-1.shop_a' });
    const other = watching({ w: ['10.0.2.9', '10.0.2.8'] }, { '10.0.2.9': 'shop-w-2.shop_b', '10.0.2.8': 'shop-w-1.shop_b' });
    await vi.waitFor(() => expect([one.times, other.times]).toEqual([1, 1]));
    expect(numbersOf(one.peers)).toEqual([
      ['10.0.1.3', 1],
      ['10.0.1.2', 2],
    ]);
    expect(numbersOf(other.peers)).toEqual([
      ['10.0.2.8', 1],
      ['10.0.2.9', 2],
    ]);
  });

  it('numbers them by address where names say nothing of their own', async () => {
    const clustered = watching({ w: ['10.1.2.3', '10.1.2.4'] }, { '10.1.2.3': '10-1-2-3.w.ns.svc', '10.1.2.4': '10-1-2-4.w.ns.svc' });
    const halfNamed = watching({ w: ['10.1.2.3', '10.1.2.4'] }, { '10.1.2.3': 'shop-w-1.net' });
    const twins = watching({ w: ['10.1.2.3', '10.1.2.4'] }, { '10.1.2.3': 'w-1.a', '10.1.2.4': 'w-1.b' });
    for (const got of [clustered, halfNamed, twins]) {
      await vi.waitFor(() => expect(got.times).toBe(1));
      expect(new Set(numbersOf(got.peers).map(([, replica]) => replica))).toEqual(new Set([0x0a010203, 0x0a010204]));
    }
  });

  it('gives a replica that is renumbered another instance id, so that nobody keeps it under the old number', async () => {
    const hosts = { w: ['10.0.0.2'] as readonly string[] };
    const got = watching(hosts, { '10.0.0.2': 'w-1', '10.0.0.3': 'w-2' });
    await vi.waitFor(() => expect(got.times).toBe(1));
    const [before] = got.peers['unit://w/http-json'] ?? [];
    hosts.w = ['10.0.0.2', '10.0.0.3'];
    await vi.waitFor(() => expect(got.times).toBe(2));
    const [after] = got.peers['unit://w/http-json'] ?? [];
    expect(after?.at).toEqual(before?.at);
    expect(after?.instanceId).not.toBe(before?.instanceId);
  });

  it('counts a replica with an address of each kind once', async () => {
    const got = watching({ w: ['fd00::2', '10.0.0.2'] });
    const six = watching({ w: ['fd00::2', 'fd00::3'] });
    await vi.waitFor(() => expect([got.times, six.times]).toEqual([1, 1]));
    expect(numbersOf(got.peers).map(([host]) => host)).toEqual(['10.0.0.2']);
    const [first] = six.peers['unit://w/http-json'] ?? [];
    expect(first && httpUrl(first.at)).toMatch(/^http:\/\/\[fd00::[23]\]:7001$/);
  });

  it('tells what somebody else built by its path', async () => {
    const got: Peers[] = [];
    const watch = watchNames({
      names: { 'unit://r/a2a': { host: 'r', port: 9000, foreignPath: '/a2a' }, 'unit://s/a2a': { host: 's', port: 80, foreignPath: '/' } },
      give: (peers) => void got.push(peers),
      service: service({ r: ['10.0.0.2'], s: ['10.0.0.3'] }),
    });
    cleanups.push(() => watch.close());
    await vi.waitFor(() => expect(got).toHaveLength(2));
    const peers: Peers = Object.assign({}, ...got);
    expect(peers['unit://r/a2a']).toMatchObject([{ foreign: true, url: 'http://10.0.0.2:9000/a2a' }]);
    expect(peers['unit://s/a2a']?.[0]).toMatchObject({ foreign: true });
    expect(peers['unit://s/a2a']?.[0]).not.toHaveProperty('url');
  });

  it('is the same whatever order the addresses come in', async () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const address = fc.tuple(octet, octet).map(([a, b]) => `10.0.${a}.${b}`);
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(address, { minLength: 1, maxLength: 6 }), async (addresses) => {
        const [one, other] = [watching({ w: addresses }), watching({ w: [...addresses].reverse() })];
        await vi.waitFor(() => expect([one.times, other.times]).toEqual([1, 1]));
        expect(one.peers).toEqual(other.peers);
        expect(new Set(numbersOf(one.peers).map(([, replica]) => replica)).size).toBe(addresses.length);
      }),
      { numRuns: 25 },
    );
  });
});

describe('an instance that names itself', () => {
  it('is the replica found at any of its addresses, and no other', () => {
    const id = instanceAt('web', 'a1b2', ['10.0.0.2', '10.0.1.2']);
    expect(isInstanceAt(id, { host: '10.0.1.2', port: 7001 })).toBe(true);
    expect(isInstanceAt(id, { host: '10.0.1.20', port: 7001 })).toBe(false);
    expect(isInstanceAt('web.0', { host: 'web.0', port: 7001 })).toBe(false);
    expect(isInstanceAt(id, { path: '/x' })).toBe(false);
  });
});

describe('a service with names', () => {
  it('is ready once its upstream is found', async () => {
    const upstream = createServer((_, response) => response.end('{}'));
    await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
    cleanups.push(() => new Promise((done) => upstream.close(done)));
    const { port } = upstream.address() as AddressInfo;
    let known: Peers = {};
    const binding: ProcessBinding = {
      ...{ deploymentId: 'd', id: 'x', replica: 0, instanceId: 'x', control: { host: '127.0.0.1', port: 0 }, listen: {}, peers: {} },
      names: { 'service://up': { host: 'localhost', port } },
      ...{ otlpEndpoints: [], samplingRatio: 0, stateDir: '', queueLimit: 1, drainMs: 0 },
    };
    const started = await startServiceProcess(
      {
        listen: async () => ({ report: {}, close: async () => {} }),
        peers: (peers) => {
          known = { ...known, ...peers };
        },
        missing: () => (known['service://up'] === undefined ? ['service://up'] : []),
      },
      binding,
    );
    cleanups.push(started.close);
    await vi.waitFor(async () => expect((await fetch(`${httpUrl(started.report.control)}/readyz`)).status).toBe(200), { timeout: 5_000 });
    expect(known['service://up']).toMatchObject([{ at: { host: '127.0.0.1', port } }]);
  });
});
