import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';

const tools = { ip: 'ip', nsenter: 'nsenter', openssl: 'openssl' } as const;

/** What this machine lacks to be two machines; empty when nothing. */
export function secondEngineMissing(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root of a Linux machine can make another network namespace';
  for (const [tool, question] of [
    ['dockerd', '--version'],
    ['ip', '-V'],
    ['nsenter', '--version'],
    ['openssl', 'version'],
  ] as const) {
    try {
      execFileSync(tool, [question], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed`;
    }
  }
  return '';
}

const readyWithinMs = 60_000;

/**
 * A Docker engine that is reached as one on another machine is: in a network namespace of its own, over TCP, with
 * certificates made for it. Its addresses are of RFC 2544's range for tests of networks.
 */
export async function startSecondEngine(folder: string) {
  const name = `dmas${process.pid}`;
  const [near, far] = ['198.18.77.1', '198.18.77.2'];
  const certificates = makeCertificates(folder, far);
  const run = (...args: string[]) => execFileSync(tools.ip, args, { stdio: 'pipe' });
  let engine: ChildProcess | undefined;
  const stop = async () => {
    if (engine?.exitCode === null) {
      const exited = once(engine, 'exit');
      engine.kill('SIGTERM');
      await Promise.race([exited, sleep(20_000)]);
    }
    try {
      run('netns', 'del', name);
    } catch {
      // It was never made.
    }
    await sleep(200);
    rmSync(join(folder, 'engine'), { recursive: true, force: true });
  };
  try {
    run('netns', 'add', name);
    run('link', 'add', `${name}a`, 'type', 'veth', 'peer', 'name', `${name}b`, 'netns', name);
    run('addr', 'add', `${near}/30`, 'dev', `${name}a`);
    run('link', 'set', `${name}a`, 'up');
    for (const step of [`addr add ${far}/30 dev ${name}b`, `link set ${name}b up`, 'link set lo up', `route add default via ${near}`])
      run('-n', name, ...step.split(' '));
    const data = join(folder, 'engine');
    const tls = [
      '--tlsverify',
      '--tlscacert',
      join(folder, 'ca.pem'),
      '--tlscert',
      join(folder, 'server.pem'),
      '--tlskey',
      join(folder, 'server.key'),
    ];
    const places = ['--data-root', join(data, 'data'), '--exec-root', join(data, 'exec'), '--pidfile', join(data, 'pid')];
    const args = [`--net=/var/run/netns/${name}`, 'dockerd', ...places, '-H', `tcp://${far}:2376`, ...tls];
    engine = spawn(tools.nsenter, args, { stdio: 'ignore' });
    const docker = new Docker({ host: far, port: 2376, protocol: 'https', ...certificates });
    const until = Date.now() + readyWithinMs;
    while (!(await docker.ping().catch(() => null))) {
      if (engine.exitCode !== null || Date.now() > until) throw new Error('the second engine did not start');
      await sleep(200);
    }
    return {
      docker,
      address: far,
      environment: { DOCKER_HOST: `tcp://${far}:2376`, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: join(folder, 'client') },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function makeCertificates(folder: string, address: string) {
  const make = (...args: string[]) => execFileSync(tools.openssl, args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  make('req', '-x509', ...key, '-days', '2', '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const who of ['server', 'client']) {
    make('req', ...key, '-subj', `/CN=${who}`, '-keyout', `${who}.key`, '-out', `${who}.csr`);
    writeFileSync(join(folder, `${who}.ext`), `subjectAltName=IP:${address}\nextendedKeyUsage=${who}Auth\n`);
    make(
      'x509',
      '-req',
      '-in',
      `${who}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      `${who}.ext`,
      '-out',
      `${who}.pem`,
    );
  }
  mkdirSync(join(folder, 'client'));
  const files = { ca: 'ca.pem', cert: 'client.pem', key: 'client.key' } as const;
  return Object.fromEntries(
    Object.entries(files).map(([role, file]) => {
      const content = readFileSync(join(folder, file));
      writeFileSync(join(folder, 'client', `${role}.pem`), content);
      return [role, content];
    }),
  );
}
