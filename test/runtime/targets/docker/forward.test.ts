import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { forwardTo, receiverPath } from '../../../../runtime/targets/docker/forward.ts';
import { openRelay } from '../../../../runtime/targets/docker/relay.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function receiver(status = 200) {
  const received: { url: string | undefined; type: string | undefined; encoding: string | undefined; body: string }[] = [];
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const { 'content-type': type, 'content-encoding': encoding } = incoming.headers;
      received.push({ url: incoming.url, type, encoding, body: Buffer.concat(parts).toString('hex') });
      outgoing.writeHead(status).end('taken');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('the way of traces out of a network', () => {
  it('goes to the receiver asked for, under its path, with body and encoding as they came', async () => {
    const [first, second] = [await receiver(), await receiver(429)];
    const relay = await openRelay('127.0.0.1', forwardTo([first.url, `${second.url}/base/`]));
    closing.push(() => relay.close());
    const send = (path: string) =>
      fetch(`http://127.0.0.1:${relay.port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip', authorization: 'stays inside' },
        body: Buffer.from([0, 255, 10, 13]),
      });
    const reply = await send(`${receiverPath(0)}/v1/traces`);
    expect([reply.status, await reply.text()]).toEqual([200, 'taken']);
    expect(first.received).toEqual([{ url: '/v1/traces', type: 'application/x-protobuf', encoding: 'gzip', body: '00ff0a0d' }]);
    // What the receiver says is for the exporter to act on.
    expect((await send(`${receiverPath(1)}/v1/traces`)).status).toBe(429);
    expect(second.received[0]?.url).toBe('/base/v1/traces');
    expect((await send('/7/v1/traces')).status).toBe(404);
    expect((await send('/v1/traces')).status).toBe(404);
  });

  it('answers what exporters repeat when nobody is there', async () => {
    const gone = await receiver();
    await closing.pop()?.();
    const forward = forwardTo([gone.url]);
    expect((await forward({ path: '/0/v1/traces', headers: {}, body: Buffer.alloc(0) })).status).toBe(502);
  });

  it('cannot open where the gateway is not an address of this machine', async () => {
    // RFC 5737: nobody's address.
    await expect(openRelay('192.0.2.200', forwardTo([]))).rejects.toThrow(/EADDRNOTAVAIL/);
  });
});
