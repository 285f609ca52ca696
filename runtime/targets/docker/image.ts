import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { labels, repositories } from './labels.ts';
import { type TarEntry, tar } from './tar.ts';

const repository = repositories.node;
const nodeInImage = '/usr/bin/node';
/** Loaded by the C library when a host name is looked up, so that ldd does not name them. */
const nameServiceLibraries = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2'];

/**
 * An image that holds this machine's Node.js, the libraries it needs and nothing else, so that no registry is needed
 * and containers run what processes run. Named after its content, made once.
 * @returns its name
 */
export async function ensureNodeImage(docker: Docker): Promise<string> {
  const entries = rootFiles();
  const hash = createHash('sha256');
  for (const { path, content, mode } of entries) hash.update(`${path}\0${mode}\0${content?.length ?? 'folder'}\0`).update(content ?? '');
  const tag = hash.digest('hex').slice(0, 12);
  const name = `${repository}:${tag}`;
  if (await present(docker, name)) return name;
  const progress = await docker.importImage(Readable.from(tar(entries)), {
    repo: repository,
    tag,
    changes: [`LABEL ${labels.image}=${process.version}`],
  });
  await followed(docker, progress);
  return name;
}

export const present = (docker: Docker, name: string): Promise<boolean> =>
  docker
    .getImage(name)
    .inspect()
    .then(
      () => true,
      () => false,
    );

/**
 * An image that somebody names: the engine's own, else from its registry.
 * @throws Error that names it, when it is in neither
 */
export async function ensureImage(docker: Docker, name: string, signal?: AbortSignal): Promise<void> {
  if (await present(docker, name)) return;
  try {
    // Without a tag the engine would fetch all there are.
    const tagged = /[:@][^/]*$/.test(name) ? name : `${name}:latest`;
    await followed(docker, await docker.pull(tagged, signal === undefined ? {} : { abortSignal: signal }));
  } catch (error) {
    throw new Error(`the engine has no image ${name} and cannot fetch it: ${(error as Error).message}`, { cause: error });
  }
}

/** The engine reports errors of an import in the stream of its progress, which must be read to its end. */
export function followed(docker: Docker, progress: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(progress, (error: Error | null, lines: { error?: string }[] = []) => {
      const failure = error ?? lines.find((line) => line.error)?.error;
      if (failure) reject(failure instanceof Error ? failure : new Error(failure));
      else resolve();
    });
  });
}

function rootFiles(): TarEntry[] {
  const libraries = parseLdd(execFileSync('ldd', [process.execPath], { encoding: 'utf8' }));
  const cLibrary = libraries.find((path) => path.includes('libc.so')) ?? '/lib/libc.so.6';
  const names = nameServiceLibraries.map((name) => join(dirname(cLibrary), name)).filter((path) => existsSync(path));
  const files: TarEntry[] = [
    { path: nodeInImage.slice(1), content: readFileSync(process.execPath), mode: 0o755 },
    ...[...libraries, ...names].map((path) => ({ path: path.slice(1), content: readFileSync(path), mode: 0o755 })),
    text('etc/passwd', 'root:x:0:0:root:/:/none\nnobody:x:65534:65534:nobody:/:/none\n'),
    text('etc/group', 'root:x:0:\nnogroup:x:65534:\n'),
    text('etc/nsswitch.conf', 'hosts: files dns\n'),
  ];
  return [...foldersOf(files), { path: 'tmp', mode: 0o1777 }, { path: 'app', mode: 0o755 }, { path: 'state', mode: 0o777 }, ...files];
}

const text = (path: string, content: string): TarEntry => ({ path, content: Buffer.from(content), mode: 0o644 });

function foldersOf(files: readonly TarEntry[]): TarEntry[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
  }
  return [...folders].sort().map((path) => ({ path, mode: 0o755 }));
}

/** The files named by `ldd`: `name => /path (0x…)` and the loader's bare `/path (0x…)`; the kernel's own has no path. */
export function parseLdd(output: string): string[] {
  return output.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}
