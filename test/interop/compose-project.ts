import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import type { EmittedFile } from '../../compiler/emit/emitter.ts';

const run = promisify(execFile);
const works = (file: string, args: readonly string[]) => spawnSync(file, args, { stdio: 'ignore' }).status === 0;

/** `docker compose`, or the older program of its own; undefined where neither is installed. */
export const composeCommand: readonly [string, ...string[]] | undefined = works('docker', ['compose', 'version'])
  ? ['docker', 'compose']
  : works('docker-compose', ['version'])
    ? ['docker-compose']
    : undefined;

/** Why no project can be started here; undefined when one can. */
export const noCompose: string | undefined =
  composeCommand === undefined
    ? 'neither docker compose nor docker-compose is installed'
    : works('docker', ['info'])
      ? undefined
      : 'no Docker engine answers';

export async function writeFiles(folder: string, files: readonly EmittedFile[]): Promise<void> {
  for (const { path, content, mode } of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
    if (mode !== undefined) await chmod(file, mode);
  }
}

export interface ComposeProject {
  /** Where the application answers. */
  readonly url: string;
  compose(...args: string[]): Promise<string>;
  /** Starts everything and waits until every container is healthy. */
  up(): Promise<void>;
  /** Ends everything and removes what was made, volumes and images too. */
  down(): Promise<void>;
}

/** An exported project in a folder, under a name and port of its own. */
export async function composeProject(
  folder: string,
  name: string,
  environment: { readonly [name: string]: string },
): Promise<ComposeProject> {
  const [file = 'docker-compose', ...first] = composeCommand ?? [];
  const port = await freePort();
  const env = { ...process.env, COMPOSE_PROJECT_NAME: name, PORT: String(port), DOCKER_BUILDKIT: '0', ...environment };
  const compose = async (...args: string[]) =>
    (await run(file, [...first, ...args], { cwd: folder, env, maxBuffer: 64 * 1024 * 1024 })).stdout;
  return {
    url: `http://127.0.0.1:${port}`,
    compose,
    up: async () => {
      await writeFile(join(folder, 'compose.override.yaml'), await impatient(folder));
      await compose('build', '--parallel', '--quiet');
      await compose('up', '-d');
      await healthy(compose);
    },
    down: async () => {
      await compose('down', '--volumes', '--rmi', 'all', '--timeout', '2');
    },
  };
}

/** The project's own health checks, asked every second: older engines ask for the first time when an interval has passed. */
async function impatient(folder: string): Promise<string> {
  const { services } = parse(await readFile(join(folder, 'compose.yaml'), 'utf8')) as { services: { [name: string]: object } };
  const checked = Object.entries(services).filter(([, service]) => 'healthcheck' in service);
  return stringify({ services: Object.fromEntries(checked.map(([name]) => [name, { healthcheck: { interval: '1s' } }])) });
}

/** Generous: a machine that does much else starts a dozen containers slowly. */
const healthyWithinMs = 180_000;

async function healthy(compose: ComposeProject['compose']): Promise<void> {
  const untilMs = Date.now() + healthyWithinMs;
  for (;;) {
    const ids = (await compose('ps', '-q')).split('\n').filter((id) => id !== '');
    const { stdout } = await run('docker', ['inspect', '--format', '{{.Name}} {{.State.Health.Status}}', ...ids]);
    const waiting = stdout.split('\n').filter((line) => line !== '' && !line.endsWith(' healthy'));
    if (ids.length > 0 && waiting.length === 0) return;
    if (Date.now() > untilMs) throw new Error(`not healthy: ${waiting.join(', ')}\n${await compose('logs', '--tail', '20')}`);
    await new Promise((done) => setTimeout(done, 300));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
