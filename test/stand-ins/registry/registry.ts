import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The reference implementation, as Debian packages it. */
const program = 'docker-registry';

/** Why no real registry can be started here; undefined when one can. */
export const noRegistry: string | undefined =
  spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0 ? undefined : `${program} is not installed`;

export interface Registry {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  readonly user: string;
  readonly password: string;
  /** Asks as the user. */
  ask(path: string, headers?: { readonly [header: string]: string }): Promise<Response>;
  close(): Promise<void>;
}

/** The reference implementation of a registry on loopback, which lets in one user alone. */
export async function startRegistry(): Promise<Registry> {
  const folder = mkdtempSync(join(tmpdir(), 'dmas-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const [user, password] = ['team', 'swordfish'];
  // What `htpasswd -nbB -C 5 team swordfish` says.
  writeFileSync(join(folder, 'users'), `${user}:$2y$05$abcdefghijklmnopqrstuupWDwJQeCHYIBQy8WvkVB6ImhZ476YYy\n`);
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: host },
    auth: { htpasswd: { realm: 'test', path: join(folder, 'users') } },
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config));
  const child: ChildProcess = spawn(program, ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const ask = (path: string, headers = {}) => fetch(`http://${host}${path}`, { headers: { authorization, ...headers } });
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const answered = await ask('/v2/').catch(() => undefined);
    if (answered?.status === 200) return { host, user, password, ask, close };
    if (tries > 200 || child.exitCode !== null) {
      await close();
      throw new Error(`the registry does not answer: ${answered?.status ?? 'no connection'}`);
    }
    await sleep(50);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
