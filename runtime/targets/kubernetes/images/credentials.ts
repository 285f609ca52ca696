import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fail } from '../../../../compiler/contracts/index.ts';

/** What an engine is told to log in with. */
export interface Credentials {
  readonly serveraddress: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

interface DockerConfig {
  readonly auths?: { readonly [registry: string]: { readonly auth?: string; readonly identitytoken?: string } };
  readonly credsStore?: string;
  readonly credHelpers?: { readonly [registry: string]: string };
}

/** The host of `registry.example/team`, with its port; the public one where a name begins with no host, as Docker has it. */
export function registryHost(registry: string): string {
  const [first = ''] = registry.split('/');
  return registry.includes('/') && !/[.:]/.test(first) && first !== 'localhost' ? 'docker.io' : first;
}

/** Under these names the public registry may stand in the file. */
const aliases = (host: string): readonly string[] =>
  host === 'docker.io' ? ['https://index.docker.io/v1/', 'index.docker.io', host] : [host, `https://${host}`, `https://${host}/v2/`];

/**
 * What `docker login` left in the user's configuration (DOCKER_CONFIG, else ~/.docker), credential helpers included;
 * undefined where nothing is known of the registry.
 */
export async function credentialsFor(
  host: string,
  folder = process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'),
): Promise<Credentials | undefined> {
  const { auths = {}, credsStore, credHelpers = {} } = await configurationIn(join(folder, 'config.json'));
  for (const name of aliases(host)) {
    const helper = credHelpers[name] ?? (credHelpers[host] === undefined ? credsStore : undefined);
    const helped = helper === undefined ? undefined : await askHelper(helper, name);
    if (helped !== undefined) return helped;
    const { auth, identitytoken } = auths[name] ?? {};
    if (identitytoken !== undefined && identitytoken !== '') return { serveraddress: host, identitytoken };
    const [, username, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth ?? '', 'base64').toString('utf8')) ?? [];
    if (username !== undefined && password !== undefined) return { serveraddress: host, username, password };
  }
  return undefined;
}

/** @throws DmasError DMAS_DEPLOY_FAILED for a file that is no JSON */
async function configurationIn(file: string): Promise<DockerConfig> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  try {
    return JSON.parse(text) as DockerConfig;
  } catch (cause) {
    return fail('DMAS_DEPLOY_FAILED', `${file} is no JSON: ${(cause as Error).message}.`, {
      cause,
      fix: 'Mend it; docker login writes it.',
    });
  }
}

/** A helper that asks a person would never end. */
const helperMs = 15_000;

/** `docker-credential-<name> get`: the registry on standard input, JSON on standard output; anything else means that it knows none. */
function askHelper(name: string, registry: string): Promise<Credentials | undefined> {
  return new Promise((resolve) => {
    const asked = execFile(`docker-credential-${name}`, ['get'], { timeout: helperMs }, (error, stdout) => {
      if (error) return resolve(undefined);
      try {
        const { Username, Secret } = JSON.parse(stdout) as { readonly Username?: string; readonly Secret?: string };
        if (Username === '<token>' && Secret !== undefined) resolve({ serveraddress: registry, identitytoken: Secret });
        else
          resolve(
            Username === undefined || Secret === undefined ? undefined : { serveraddress: registry, username: Username, password: Secret },
          );
      } catch {
        resolve(undefined);
      }
    });
    asked.stdin?.on('error', () => {});
    asked.stdin?.end(registry);
  });
}
