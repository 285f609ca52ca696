import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { expect, it } from 'vitest';
import { freePort } from '../../../../runtime/targets/process/junction.ts';

const listen = (port: number) =>
  new Promise<Server>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });

it.skipIf(process.platform !== 'linux')(
  'a port that is kept for a program is none the kernel gives to anybody else, and is given once',
  async () => {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
    const first = Number.parseInt(range, 10);
    const ports = await Promise.all(Array.from({ length: 200 }, () => freePort('127.0.0.1')));
    expect(new Set(ports).size).toBe(200);
    expect(Math.max(...ports)).toBeLessThan(first);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(1024);
    const servers = await Promise.all(ports.map(listen));
    expect(servers).toHaveLength(200);
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  },
);
