import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Socket, type Server as TcpServer } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { hostWord, parseOutsideHost } from '../../../compiler/contracts/index.ts';
import { isIn, isPublic, networksOf } from '../../../runtime/egress/addresses.ts';
import { createAllowList, type Lookup } from '../../../runtime/egress/allow.ts';
import { createEgressProxy } from '../../../runtime/egress/proxy.ts';
import { callerCheck } from '../../../runtime/egress/service.ts';
import { createCallerStats } from '../../../runtime/egress/stats.ts';

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listening(server: Server | TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Setting {
  readonly allowed: readonly string[];
  readonly networks?: readonly string[];
  readonly find?: Lookup;
  readonly knows?: (address: string) => Promise<boolean>;
}

async function openProxy({ allowed, networks = [], find, knows = async () => true }: Setting) {
  const refusals: string[] = [];
  const stats = createCallerStats((place, reason) => refusals.push(`${place} ${reason}`));
  const proxy = createEgressProxy({ allow: createAllowList(allowed, networks, find), stats, knows });
  const port = await listening(proxy.server);
  closing.push(() => proxy.close());
  return { port, stats, refusals };
}

/** A tunnel, or the status and reason it was refused with. */
function tunnel(port: number, to: string): Promise<{ status: number; reason: string; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, method: 'CONNECT', path: to, agent: false });
    asking.once('connect', (response, socket: Socket, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve({ status: response.statusCode ?? 0, reason: String(response.headers['x-dmas-egress'] ?? ''), socket });
    });
    asking.once('error', reject);
    asking.end();
  });
}

async function absolute(port: number, url: string, options: { method?: string; body?: string; headers?: Record<string, string> } = {}) {
  const asking = request({
    host: '127.0.0.1',
    port,
    method: options.method ?? 'GET',
    path: url,
    headers: { host: new URL(url).host, ...options.headers },
    agent: false,
  });
  asking.end(options.body);
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(pieces).toString() };
}

describe('which addresses are public', () => {
  it.each([
    ['127.0.0.1', false],
    ['10.1.2.3', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['192.168.0.1', false],
    ['169.254.169.254', false],
    ['100.64.0.1', false],
    ['0.0.0.0', false],
    ['255.255.255.255', false],
    ['224.0.0.1', false],
    ['8.8.8.8', true],
    ['::1', false],
    ['::', false],
    ['fe80::1', false],
    ['fd12::1', false],
    ['::ffff:10.0.0.1', false],
    ['::ffff:a00:1', false],
    ['::ffff:8.8.8.8', true],
    ['2002:a00:1::', false],
    ['64:ff9b::a00:1', false],
    ['2606:4700::1111', true],
    ['not an address', false],
  ])('%s: %s', (address, expected) => {
    expect(isPublic(address)).toBe(expected);
  });

  it('takes a single address for a network of its own', () => {
    const networks = networksOf(['10.20.0.0/16', '10.9.9.9', 'fd00::/8']);
    expect(['10.20.3.4', '10.9.9.9', 'fd12::1', '::ffff:10.20.0.1'].map((address) => isIn(networks, address))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['10.21.0.1', '10.9.9.8', 'fe80::1', 'x'].map((address) => isIn(networks, address))).toEqual([false, false, false, false]);
  });
});

describe('places outside', () => {
  it('have one spelling', () => {
    const words = [
      'API.example.com',
      'https://api.example.com/v1',
      'api.example.com.:443',
      'http://api.example.com',
      '[FD00::1]:8443',
      '10.0.0.5:80',
    ];
    expect(words.map((word) => hostWord(parseOutsideHost(word) ?? { host: '?', port: 0 }))).toEqual([
      'api.example.com:443',
      'api.example.com:443',
      'api.example.com:443',
      'api.example.com:80',
      '[fd00::1]:8443',
      '10.0.0.5:80',
    ]);
  });

  it.each(['*.example.com', 'a b', '', 'api.example.com:0', 'api.example.com:70000', 'user@host', '[::1', '-x.example', 'a..b', 'ftp://x'])(
    'takes no %s',
    (word) => {
      expect(parseOutsideHost(word)).toBeUndefined();
    },
  );

  it('read back what they write', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
        const word = hostWord({ host: name.toLowerCase(), port });
        expect(hostWord(parseOutsideHost(word) ?? { host: '', port: 0 })).toBe(word);
      }),
    );
  });
});

describe('what one caller may reach', () => {
  const find: Lookup = async (host) =>
    ({
      'public.example': [{ address: '93.184.215.14', family: 4 }],
      'internal.example': [{ address: '10.20.0.7', family: 4 }],
      'mixed.example': [
        { address: '127.0.0.1', family: 4 },
        { address: '93.184.215.14', family: 4 },
      ],
    })[host] ?? [];
  const allow = createAllowList(
    ['public.example:443', 'internal.example:443', 'mixed.example:443', 'gone.example:443', '127.0.0.1:9000'],
    [],
    find,
  );

  it('is what is declared, letter by letter', async () => {
    expect(await allow('public.example', 443)).toEqual({ addresses: [{ address: '93.184.215.14', family: 4 }] });
    expect(await allow('PUBLIC.example.', 443)).toEqual({ addresses: [{ address: '93.184.215.14', family: 4 }] });
    expect(await allow('public.example', 80)).toEqual({ refused: 'undeclared' });
    expect(await allow('sub.public.example', 443)).toEqual({ refused: 'undeclared' });
    expect(await allow('public.example.evil.example', 443)).toEqual({ refused: 'undeclared' });
    // The address behind an allowed name was not named.
    expect(await allow('93.184.215.14', 443)).toEqual({ refused: 'undeclared' });
  });

  it('is no private address behind a name, unless its network is named', async () => {
    expect(await allow('internal.example', 443)).toEqual({ refused: 'private' });
    expect(await allow('mixed.example', 443)).toEqual({ addresses: [{ address: '93.184.215.14', family: 4 }] });
    const inside = createAllowList(['internal.example:443'], ['10.20.0.0/16'], find);
    expect(await inside('internal.example', 443)).toEqual({ addresses: [{ address: '10.20.0.7', family: 4 }] });
  });

  it('is a Service of the cluster by its whole name, whose address is always private', async () => {
    const cluster: Lookup = async () => [{ address: '10.96.0.7', family: 4 }];
    const listed = [
      'vllm.models.svc:8000',
      'pod-0.vllm.models.svc.cluster.local:8000',
      'svc:8000',
      'models.svc:8000',
      'a.svc.example:8000',
    ];
    const inside = createAllowList(listed, [], cluster);
    const decided = await Promise.all(listed.map((place) => inside(place.split(':')[0] ?? '', 8000)));
    expect(decided.map((decision) => 'addresses' in decision)).toEqual([true, true, false, false, false]);
    expect(await inside('other.models.svc', 8000)).toEqual({ refused: 'undeclared' });
  });

  it('is a private address that was written out, in that spelling alone', async () => {
    expect(await allow('127.0.0.1', 9000)).toEqual({ addresses: [{ address: '127.0.0.1', family: 4 }] });
    for (const spelling of ['127.1', '0x7f.0.0.1', '2130706433', '::ffff:127.0.0.1', 'localhost'])
      expect(await allow(spelling, 9000)).toEqual({ refused: 'undeclared' });
  });

  it('says when a name leads nowhere', async () => {
    expect(await allow('gone.example', 443)).toEqual({ refused: 'unknown-name' });
  });

  it('never grants what is not on the list', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.domain(), { maxLength: 4 }),
        fc.domain(),
        fc.integer({ min: 1, max: 65_535 }),
        async (names, asked, port) => {
          const list = createAllowList(
            names.map((name) => `${name.toLowerCase()}:443`),
            [],
            async () => [{ address: '93.184.215.14', family: 4 }],
          );
          const granted = 'addresses' in (await list(asked, port));
          expect(granted).toBe(port === 443 && names.map((name) => name.toLowerCase()).includes(asked.toLowerCase()));
        },
      ),
    );
  });
});

describe('a tunnel', () => {
  it('passes bytes both ways, and either end may finish before the other', async () => {
    const echo = createTcp({ allowHalfOpen: true }, (socket) => {
      const pieces: Buffer[] = [];
      socket.on('data', (piece) => pieces.push(piece));
      // Answers only once the caller has finished: a tunnel that closes both ways at once would lose it.
      socket.on('end', () => socket.end(Buffer.concat([Buffer.from('heard '), ...pieces])));
    });
    const upstream = await listening(echo);
    const { port, stats } = await openProxy({ allowed: [`127.0.0.1:${upstream}`] });
    const { status, socket } = await tunnel(port, `127.0.0.1:${upstream}`);
    expect(status).toBe(200);
    socket.end('hello');
    const pieces: Buffer[] = [];
    for await (const piece of socket) pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces).toString()).toBe('heard hello');
    await expect
      .poll(() => stats.read())
      .toMatchObject({ open: 0, allowed: { [`127.0.0.1:${upstream}`]: 1 }, sentBytes: 5, receivedBytes: 11 });
  });

  it('goes to the address that was judged, not to what the name says next', async () => {
    const upstream = await listening(createTcp((socket) => socket.end('here')));
    const answers = [[{ address: '127.0.0.1', family: 4 }], [{ address: '127.0.0.2', family: 4 }]];
    let asked = 0;
    const find: Lookup = async () => answers[Math.min(asked++, 1)] ?? [];
    const { port } = await openProxy({ allowed: [`rebind.example:${upstream}`], networks: ['127.0.0.1'], find });
    const first = await tunnel(port, `rebind.example:${upstream}`);
    expect(first.status).toBe(200);
    expect((await once(first.socket, 'data'))[0].toString()).toBe('here');
    expect(asked).toBe(1);
    const second = await tunnel(port, `rebind.example:${upstream}`);
    expect(second).toMatchObject({ status: 403 });
    expect(second.reason).toContain('private address');
    first.socket.destroy();
    second.socket.destroy();
  });

  it('is refused with a reason, which is counted and told once', async () => {
    const { port, stats, refusals } = await openProxy({ allowed: [] });
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const { status, reason, socket } = await tunnel(port, 'evil.example:443');
      expect([status, reason]).toEqual([403, 'no component of it declares that place']);
      socket.destroy();
    }
    expect(stats.read().refused).toEqual([{ place: 'evil.example:443', reason: 'undeclared', count: 2 }]);
    expect(refusals).toEqual(['evil.example:443 undeclared']);
  });

  it('needs a port, and is not opened for strangers', async () => {
    const anyPort = await openProxy({ allowed: ['public.example:443'] });
    const without = await tunnel(anyPort.port, 'public.example');
    expect(without.status).toBe(400);
    without.socket.destroy();
    const upstream = await listening(createTcp((socket) => socket.end()));
    const { port } = await openProxy({ allowed: [`127.0.0.1:${upstream}`], knows: async () => false });
    const stranger = await tunnel(port, `127.0.0.1:${upstream}`);
    expect([stranger.status, stranger.reason]).toEqual([403, 'the caller is not the unit this port is for']);
    stranger.socket.destroy();
  });

  it('says that nobody listens there', async () => {
    const taken = createTcp();
    const upstream = await listening(taken);
    await new Promise((resolve) => taken.close(resolve));
    const { port, stats } = await openProxy({ allowed: [`127.0.0.1:${upstream}`] });
    const { status, socket } = await tunnel(port, `127.0.0.1:${upstream}`);
    expect(status).toBe(502);
    socket.destroy();
    await expect.poll(() => stats.read().open).toBe(0);
  });

  it('ends for the other side when one side breaks off', async () => {
    const held: Socket[] = [];
    const upstream = await listening(createTcp((socket) => void held.push(socket.on('error', () => {}))));
    const { port, stats } = await openProxy({ allowed: [`127.0.0.1:${upstream}`] });
    const { socket } = await tunnel(port, `127.0.0.1:${upstream}`);
    await expect.poll(() => held.length).toBe(1);
    socket.resetAndDestroy();
    await expect.poll(() => held[0]?.destroyed).toBe(true);
    expect(stats.read().open).toBe(0);
  });
});

describe('a request for a whole URL', () => {
  it('is passed on without what concerns one connection', async () => {
    const seen: IncomingMessage[] = [];
    const upstream = await listening(
      createServer((incoming, response) => {
        seen.push(incoming);
        let text = '';
        incoming.on('data', (piece) => (text += piece));
        incoming.on('end', () =>
          response.writeHead(201, { 'x-kept': 'yes', connection: 'x-dropped', 'x-dropped': 'no' }).end(`got ${text}`),
        );
      }),
    );
    const { port } = await openProxy({ allowed: [`127.0.0.1:${upstream}`] });
    const answer = await absolute(port, `http://127.0.0.1:${upstream}/path?q=1`, {
      method: 'POST',
      body: 'body',
      headers: { host: 'forged.example', 'proxy-authorization': 'Basic x', connection: 'x-mine', 'x-mine': '1', 'x-theirs': '2' },
    });
    expect([answer.status, answer.text, answer.headers['x-kept'], answer.headers['x-dropped']]).toEqual([
      201,
      'got body',
      'yes',
      undefined,
    ]);
    const [{ url, method, headers } = {} as IncomingMessage] = seen;
    expect([url, method, headers.host]).toEqual(['/path?q=1', 'POST', `127.0.0.1:${upstream}`]);
    expect([headers['proxy-authorization'], headers['x-mine'], headers['x-theirs']]).toEqual([undefined, undefined, '2']);
  });

  it('is refused with a body that says why', async () => {
    const { port } = await openProxy({ allowed: [] });
    const answer = await absolute(port, 'http://evil.example/');
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.text)).toEqual({
      error: { code: 'egress-refused', message: 'evil.example:80: no component of it declares that place' },
    });
  });

  it('must be whole: the proxy serves nothing of its own', async () => {
    const { port } = await openProxy({ allowed: [] });
    const asking = connect(port, '127.0.0.1');
    asking.end('GET /etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const [piece] = (await once(asking, 'data')) as [Buffer];
    expect(piece.toString()).toMatch(/^HTTP\/1.1 400/);
    asking.destroy();
  });
});

describe('who a caller is', () => {
  it('is known by the addresses behind its name, where the target gives one', async () => {
    const check = callerCheck('localhost');
    expect(await check('127.0.0.1')).toBe(true);
    expect(await check('::ffff:127.0.0.1')).toBe(true);
    expect(await check('10.0.0.1')).toBe(false);
    expect(await callerCheck('no-such-name.invalid')('127.0.0.1')).toBe(false);
    expect(await callerCheck(undefined)('10.0.0.1')).toBe(true);
  });
});
