import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { World } from '../api/world.ts';
import { type JsonObject, listAt, textAt } from '../state/json.ts';
import type { Engine, Exit, Running, Start } from './engine.ts';
import { environmentOf } from './environment.ts';
import { askProbe } from './probe.ts';
import { type Mount, mountVolumes } from './volumes.ts';

const preload = fileURLToPath(new URL('./inside.cjs', import.meta.url));

/**
 * Runs containers as processes of this machine, each pod on a loopback address of its own. The image of a container is a
 * folder that holds what the container sees as `/`; `node` is the Node.js this runs on.
 *
 * @param dnsServer `host:port` of who knows the services' names
 */
export function processEngine(world: World, dnsServer: string): Engine {
  const root = mkdtempSync(path.join(os.tmpdir(), 'kubernetes-stand-in-'));
  const folderOf = (uid: string) => path.join(root, uid);
  return {
    hasImage: (image) => world.images.has(image) || world.images.has('*'),
    start: async (start) => startProcess(world, start, folderOf(start.pod.metadata.uid), root, dnsServer),
    probe: (probe, pod, podIp) => (Object.keys(probe).length === 0 ? Promise.resolve(true) : askProbe(probe, pod, podIp)),
    forget: (uid) => rm(folderOf(uid), { recursive: true, force: true }),
    close: async () => rmSync(root, { recursive: true, force: true }),
  };
}

function startProcess(world: World, { pod, container, podIp, log }: Start, folder: string, root: string, dnsServer: string): Running {
  mkdirSync(folder, { recursive: true });
  const image = world.images.get(String(container.image)) || world.images.get('*') || folder;
  const mounts = [...mountVolumes(world, pod, container, folder), ...imageMounts(image)];
  const environment = environmentOf(world, pod, container, podIp);
  const inside = JSON.stringify({
    root,
    paths: mounts,
    dns: dnsServer,
    namespace: pod.metadata.namespace,
    name: textAt(pod, 'spec', 'hostname') ?? pod.metadata.name,
    ip: podIp,
    nodeOptions: environment.NODE_OPTIONS ?? null,
  });
  const words = [...listAt(container, 'command'), ...listAt(container, 'args')].map((word) => expand(String(word), environment));
  const [program, ...rest] = words.map((word) => locate(word, mounts));
  if (program === undefined) throw new Error('RunContainerError: no command specified');
  const child = spawn(program === 'node' ? process.execPath : program, rest, {
    cwd: cwdOf(container, mounts, folder),
    env: {
      PATH: process.env.PATH ?? '',
      HOME: folder,
      HOSTNAME: pod.metadata.name,
      ...Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, locate(value, mounts)])),
      NODE_OPTIONS: `${environment.NODE_OPTIONS ?? ''} --require=${preload}`.trim(),
      STAND_IN_POD: inside,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what it starts ends with it.
    detached: true,
  });
  child.stdout.on('data', (chunk: Buffer) => log(chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => log(chunk.toString('utf8')));
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => {
      log(`${error.message}\n`);
      resolve({ code: 127, reason: 'Error' });
    });
    child.once('close', (code, signal) => {
      kill(child, 'SIGKILL');
      const number = code ?? 128 + (signal === null ? 9 : (os.constants.signals[signal] ?? 9));
      resolve({ code: number, reason: number === 0 ? 'Completed' : 'Error' });
    });
  });
  return { exited, stop: (graceMs) => stop(child, exited, graceMs) };
}

function stop(child: ChildProcess, exited: Promise<Exit>, graceMs: number): void {
  if (graceMs <= 0) {
    kill(child, 'SIGKILL');
    return;
  }
  // Only the first process of a container is asked.
  child.kill('SIGTERM');
  const timer = setTimeout(() => kill(child, 'SIGKILL'), graceMs);
  void exited.then(() => clearTimeout(timer));
}

/** Ends a container's processes, whichever are left. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // None is left.
  }
}

/** Folders of an image that stand for what a container sees at its root. */
const imageMounts = (image: string): readonly Mount[] => [['/app', path.join(image, 'app')]];

/** A path inside the container as the path it has here; other words stay. */
function locate(word: string, mounts: readonly Mount[]): string {
  const file = word.startsWith('file://') ? 'file://' : '';
  const plain = word.slice(file.length);
  const mount = mounts.find(([inside]) => plain === inside || plain.startsWith(`${inside}/`));
  return mount ? `${file}${mount[1]}${plain.slice(mount[0].length)}` : word;
}

const expand = (word: string, environment: { readonly [name: string]: string }) =>
  word.replace(/\$\(([A-Za-z_][\w.-]*)\)/g, (whole, name: string) => environment[name] ?? whole);

function cwdOf(container: JsonObject, mounts: readonly Mount[], folder: string): string {
  const named = textAt(container, 'workingDir');
  return named === undefined ? folder : locate(named, mounts);
}
